import { beforeAll, describe, expect, it } from 'vitest'

import type { Answer, Model, QueryDoc, Row } from '@/api/types'
import { MODELS } from '@/api/types'
import { bucketLabel, compact, duration, percent } from '@/charts/numbers'
import { shade } from '@/charts/palette'
import { msStep } from '@/charts/plots'
import { setLanguage } from '@/i18n'
import { complemented } from '@/models/defaults'
import { KITS } from '@/models/kits'
import { packed, unpacked } from '@/models/link'
import { creditName } from '@/models/fields'
import { groupPick, pivot, rangeText, rowsOf, totalsOf } from '@/models/rows'
import { intervalText } from '@/models/session/intervals'
import { clean } from '@/query/clean'

beforeAll(() => setLanguage('zh'))

const queryOf = (model: Model, body: object = {}, more: object = {}): QueryDoc => ({ model, body: { ...(KITS[model].body('pay') as object), ...body }, ...more })
const pickOf = (model: Model, row: Row, name: string, body: object = {}, more: object = {}) =>
  KITS[model].pick(row, { name, type: 'int64', unit: null }, queryOf(model, body, more))

describe('models', () => {
  it('are all there', () => {
    expect(Object.keys(KITS).sort()).toEqual([...MODELS].sort())
    for (const model of MODELS) expect(KITS[model].model).toBe(model)
  })
  it('say what is missing until they can be asked', () => {
    expect(KITS.event.missing(clean({ model: 'event', body: KITS.event.body('') }))).toBe('analysis.missing.event')
    expect(KITS.event.missing(clean(queryOf('event')))).toBe('')
    expect(KITS.funnel.missing(clean(queryOf('funnel')))).toBe('analysis.missing.steps')
    expect(KITS.rfm.missing(queryOf('rfm'))).toBe('analysis.missing.monetary')
    expect(KITS.rfm.missing(queryOf('rfm', { monetary: 'event.amount' }))).toBe('')
  })
  it('have at least one picture whatever is asked', () => {
    for (const model of MODELS) for (const grain of ['hour', 'day', 'month', 'all'] as const) expect(KITS[model].charts(queryOf(model, {}, { time: { grain } })).length).toBeGreaterThan(0)
  })
})

describe('picks', () => {
  const by = { by: [{ p: 'event.city' }] }
  it('name the group of a row, also that without a value and the rest', () => {
    expect(groupPick({ 'event.city': 'x', is_other: false }, queryOf('event', {}, by))).toEqual({ by: { 'event.city': 'x' } })
    expect(groupPick({ 'event.city': null, is_other: false }, queryOf('event', {}, by))).toEqual({ by: { 'event.city': null } })
    expect(groupPick({ 'event.city': null, is_other: true, range: 'previous' }, queryOf('event', {}, by))).toEqual({ is_other: true, range: 'previous' })
  })
  it('are only of cells that count users', () => {
    const row = { series: 'A', bucket: '2026-10-01', value: 3 }
    expect(pickOf('event', row, 'value')).toBeNull()
    expect(pickOf('event', row, 'value', { series: [{ e: 'pay', measure: 'users' }] })).toEqual({ series: 'A', bucket: '2026-10-01' })
    expect(pickOf('funnel', { step: 2, count: 3 }, 'count', { count: 'sessions' })).toBeNull()
  })
  it('are those of docs/query.md and docs/models', () => {
    expect(pickOf('funnel', { step: 2, dropped: 1 }, 'dropped')).toEqual({ step: 2, dropped: true })
    expect(pickOf('retention', { cohort: 'c', period: 1, returned: 2 }, 'returned', { churn: true })).toEqual({ cohort: 'c', period: 1, churned: true })
    expect(pickOf('retention', { cohort: 'c', period: 1, returned: null }, 'returned')).toBeNull()
    expect(pickOf('path', { layer: 1, source: 'a', source_kind: 'node', target: null, target_kind: 'dropped', count: 1 }, 'count')).toEqual({ layer: 1, source: 'a', target_kind: 'dropped' })
    expect(pickOf('distribution', { bucket: 'b', band: null, is_zero: true, users: 1 }, 'users')).toEqual({ bucket: 'b', is_zero: true })
    expect(pickOf('attribution', { touch: null, name: null, is_direct: true, users: 1 }, 'users')).toEqual({ is_direct: true })
    expect(pickOf('session', { bucket: 'b', interval: null, users: 1 }, 'users', { distribution: { of: 'duration' } })).toEqual({ bucket: 'b', interval: null, any_interval: false })
    expect(pickOf('user_property', { property: 'user.a', value: null, is_other: false, base_users: 1 }, 'base_users', { persona: {} })).toEqual({ property: 'user.a', side: 'base' })
    expect(pickOf('clicks', { page: '/a', element: 'b', text: null, is_other: false, users: 1 }, 'users')).toEqual({ cell: { page: '/a', element: 'b', text: null } })
    expect(pickOf('ltv', { cohort: 'c', period: 2, payers_so_far: 1 }, 'payers_so_far')).toEqual({ cohort: 'c', period: 2, so_far: true })
    expect(pickOf('stickiness', { periods: 3, at_least: 2 }, 'at_least')).toEqual({ periods: 3, at_least: true })
    expect(pickOf('rfm', { layer: 'general_keep', users: 1 }, 'users')).toEqual({ layer: 'general_keep' })
    expect(pickOf('concurrency', { bucket: 'b', peak: 0, peak_at: null }, 'peak')).toBeNull()
  })
})

describe('queries from elsewhere', () => {
  it('have what their forms edit, and keep what they say', () => {
    expect(complemented({ model: 'session', body: { attr: 'last' } }).body).toMatchObject({ attr: 'last', session: {}, events: { e: '*' }, distribution: null })
    expect(complemented({ model: 'interval', body: { start: { e: 'a' }, cap: null } }).body.cap).toBeNull()
    expect(complemented({ model: 'event', by: [{ p: 'user.a' }], body: { series: [] } })).toMatchObject({ by: [{ p: 'user.a' }], where: null, body: { formula: [] } })
  })
})

describe('bands', () => {
  it('are told as people read them', () => {
    expect([rangeText('(-∞, 30)'), rangeText('[30, 60)'), rangeText('[60, ∞)'), rangeText('[-5, -1.5)'), rangeText('A[1, 2)')]).toEqual(['< 30', '30 – 60', '≥ 60', '-5 – -1.5', 'A[1, 2)'])
    const query = (of: string) => ({ model: 'session', body: { distribution: { of } } }) as QueryDoc
    expect(intervalText('[0, 60000)', query('duration'))).toBe('0 – 1 分')
    expect(intervalText('(-∞, 60000)', query('duration'))).toBe('< 1 分')
    expect(intervalText('[2, 5)', query('depth'))).toBe('2 – 5')
    expect(intervalText(null, query('duration'))).toBe('单事件会话')
  })
  it('and credits name their units', () => expect(creditName('time_decay 3 day')).toBe('时间衰减 3 天'))
})

describe('links', () => {
  it('give the same query and view again', async () => {
    const kept = { query: queryOf('event', {}, { where: { p: 'event.城市', op: 'in', v: ['杭州', '🙂'] } }), view: { chart: 'bar' } }
    const text = await packed(kept)
    expect(text).toMatch(/^[\w-]+$/)
    expect(await unpacked(text)).toEqual(kept)
  })
  it('that are broken are none', async () => {
    expect(await unpacked('abc')).toBeNull()
    expect(await unpacked((await packed({ query: queryOf('event'), view: {} })).slice(0, -6))).toBeNull()
  })
})

describe('answers', () => {
  it('are read by names and turned into series on common places', () => {
    const answer = { columns: [{ name: 'g' }, { name: 'bucket' }, { name: 'value' }], rows: [['a', '1', 1], ['a', '2', 2], ['b', '2', 3]], totals: { columns: ['g', 'value'], rows: [['a', 3]] } } as unknown as Answer
    const rows = rowsOf(answer)
    expect(rows[1]).toEqual({ g: 'a', bucket: '2', value: 2 })
    expect(totalsOf(answer)).toEqual([{ g: 'a', value: 3 }])
    expect(pivot(rows, (row) => String(row.g), (row) => String(row.bucket), (row) => row.value as number).map(({ name, values }) => [name, values])).toEqual([['a', [1, 2]], ['b', [null, 3]]])
  })
})

describe('numbers', () => {
  it('are those of the language', async () => {
    expect(compact(1_234_567)).toBe('123.5万')
    expect(percent(0.12345)).toBe('12.35%')
    expect(duration(2 * 86_400_000 + 3 * 3_600_000)).toBe('2 天 3 小时')
    expect(duration(999)).toBe('999 毫秒')
    expect(duration(2 * 3_600_000 - 100)).toBe('2 小时') // not 1 小时 60 分
    expect(duration(86_400_000 - 10)).toBe('1 天') // not 23 小时 60 分
    expect(duration(-(86_400_000 - 10))).toBe('−1 天')
    expect(duration(59_980)).toBe('1 分')
    expect(bucketLabel('2026-10-01T13:00+08:00', 'hour')).toBe('10-01 13:00')
    expect(bucketLabel('2026-10-01', 'quarter')).toBe('2026 Q4')
    await setLanguage('en')
    expect(compact(1_234_567)).toBe('1.2M')
    await setLanguage('zh')
  })
  it('of time have round ticks', () => {
    expect(msStep(10 * 86_400_000)).toBe(172_800_000)
    expect(msStep(50_000)).toBe(15_000)
  })
  it('stand on shades on which they can be read', () => {
    const light = (rgb: number[]) => {
      const [r, g, b] = rgb.map((one) => (one / 255 <= 0.03928 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4)) as [number, number, number]
      return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05
    }
    for (const dark of [false, true]) {
      for (let share = 0; share <= 1; share += 0.01) {
        const { background, color } = shade(share, dark)
        const ground = light(background.match(/\d+/g)!.map(Number))
        expect(color === '#ffffff' ? 1.05 / ground : ground / 0.05).toBeGreaterThanOrEqual(4.5)
      }
    }
  })
})
