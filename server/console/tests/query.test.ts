import { describe, expect, it } from 'vitest'

import type { QueryDoc } from '@/api/types'
import { cleanAudience, cleanFilter } from '@/query/audience'
import { clean } from '@/query/clean'
import { toInstant, toLocal } from '@/query/instants'
import { blank, complete, operators, withOperator } from '@/query/operators'
import { found } from '@/query/options'
import { daysOf, presets, resolved } from '@/query/presets'
import { docOf, groupOf, pruned } from '@/query/tree'

describe('groups of conditions', () => {
  const a = { p: 'event.a', op: 'is_set' }
  const b = { p: 'event.b', op: 'is_set' }
  it('are read and written as documents', () => {
    for (const doc of [{ all: [a, b] }, { any: [a] }, { not: { any: [a, b] } }]) expect(docOf(groupOf(doc))).toEqual(doc)
    expect(groupOf(a)).toEqual({ kind: 'all', parts: [a] })
    expect(groupOf({ not: a })).toEqual({ kind: 'none', parts: [a] })
    expect(docOf({ kind: 'all', parts: [] })).toBeNull()
  })
  it('lose what is not complete, and groups of nothing', () => {
    const doc = { all: [a, { p: 'event.c', op: 'eq', v: '' }, { any: [{ p: '', op: 'eq', v: 1 }] }] }
    expect(cleanFilter(doc)).toEqual(a)
    expect(cleanFilter({ any: [{ p: '', op: 'eq' }] })).toBeNull()
    expect(pruned({ not: { any: [a] } }, (one) => one)).toEqual({ not: { any: [a] } })
  })
})

describe('conditions', () => {
  it('are complete when their operator has what it takes', () => {
    expect(complete({ p: 'event.a', op: 'in', v: [] })).toBe(false)
    expect(complete({ p: 'event.a', op: 'in', v: ['x'] })).toBe(true)
    expect(complete({ p: 'event.a', op: 'between', v: [1, null] })).toBe(false)
    expect(complete({ p: 'event.a', op: 'between', v: [0, 0] })).toBe(true)
    expect(complete({ p: 'event.a', op: 'eq', v: 0 })).toBe(true)
    expect(complete({ p: 'event.a', op: 'eq', v: false })).toBe(true)
    expect(complete({ p: 'event.a', op: 'is_set' })).toBe(true)
    expect(complete({ p: '', op: 'is_set' })).toBe(false)
  })
  it('keep their value when the operator allows it', () => {
    const leaf = { p: 'event.a', op: 'in', v: ['x'] }
    expect(withOperator(leaf, 'not_in', 'string')).toEqual({ ...leaf, op: 'not_in' })
    expect(withOperator(leaf, 'contains', 'string')).toEqual({ p: 'event.a', op: 'contains', v: '' })
    expect(withOperator({ p: 'event.n', op: 'eq', v: 3 }, 'in', 'int64')).toEqual({ p: 'event.n', op: 'in', v: [3] })
    expect(withOperator(leaf, 'is_set', 'string')).toEqual({ p: 'event.a', op: 'is_set' })
  })
  it('begin as their kind wants it', () => {
    for (const kind of ['string', 'int64', 'float64', 'bool', 'datetime', 'list']) {
      expect(operators(kind).length).toBeGreaterThan(2)
      for (const op of operators(kind)) expect('v' in blank(op, kind)).toBe(!op.startsWith('is_'))
    }
  })
})

describe('audiences', () => {
  it('keep only leaves that can be asked', () => {
    expect(cleanAudience({ all: [{ did: { e: '', count: { op: 'gte', v: 1 } } }, { cohort: 'x' }, { tag: 't', op: 'in', v: [] }] })).toEqual({ cohort: 'x' })
    expect(cleanAudience({ sequence: { steps: [{ e: 'a' }, { e: '' }] } })).toBeNull()
    expect(cleanAudience({ did: { e: 'a', where: null, measure: { sum: 'event.n' }, value: { op: 'gte', v: null } } })).toBeNull()
    expect(cleanAudience({ not: { any: [{ did: { e: 'a', where: null, count: { op: 'gte', v: 1 } } }] } })).toEqual({ not: { any: [{ did: { e: 'a', count: { op: 'gte', v: 1 } } }] } })
  })
})

describe('a query', () => {
  it('is asked without what is not filled in', () => {
    const query = {
      model: 'funnel', time: { from: '-7d' }, where: { all: [{ p: '', op: 'eq' }] }, audience: null, by: [{ p: '' }, { p: 'user.city' }], compare: { shift: '' },
      body: { steps: [{ e: 'a', where: { any: [{ p: 'event.x', op: 'eq', v: '' }] } }, { e: '' }, { e: ['b', 'c'] }], exclude: [{ e: '', on: 'drop' }] },
    } as unknown as QueryDoc
    expect(clean(query)).toEqual({ model: 'funnel', time: { from: '-7d' }, by: [{ p: 'user.city' }], body: { steps: [{ e: 'a' }, { e: ['b', 'c'] }], exclude: [] } })
  })
  it('keeps nulls that mean something, and drops an end that nobody chose', () => {
    const query = { model: 'interval', body: { start: { e: 'a' }, end: { e: '' }, cap: null } } as QueryDoc
    expect(clean(query)).toEqual({ model: 'interval', body: { start: { e: 'a' }, cap: null } })
  })
})

describe('dates', () => {
  const now = Date.parse('2026-03-31T20:00:00Z') // 1 April in Shanghai
  it('are those of the zone', () => {
    expect(resolved({ from: '-7d', to: 'yesterday' }, 'Asia/Shanghai', now)).toEqual({ from: '2026-03-25', to: '2026-03-31' })
    expect(resolved({ from: 'today', to: 'today' }, 'UTC', now)).toEqual({ from: '2026-03-31', to: '2026-03-31' })
  })
  it('go back by months to the last day of shorter ones', () => {
    expect(resolved({ from: '-1M', to: 'today' }, 'UTC', now)?.from).toBe('2026-02-28')
    expect(resolved({ from: '-1y', to: 'today' }, 'UTC', now)?.from).toBe('2025-03-31')
  })
  it('have presets that lie right', () => {
    const of = (key: string) => resolved(presets('Asia/Shanghai', now).find((one) => one.key === key)!.range, 'Asia/Shanghai', now)!
    expect(of('lastMonth')).toEqual({ from: '2026-03-01', to: '2026-03-31' })
    expect(of('thisWeek')).toEqual({ from: '2026-03-30', to: '2026-04-01' })
    expect(daysOf(of('last30'))).toBe(30)
    expect(daysOf(of('last30today'))).toBe(30)
  })
})

it('searches thousands of names, those that begin with the words first', () => {
  const options = Array.from({ length: 2000 }, (_, k) => ({ value: `event_${k}`, label: k === 1500 ? 'pay late' : `label ${k}`, sub: 'x' }))
  options[3] = { value: 'other', label: 'late pay', sub: 'x' }
  expect(found(options, 'pay').map((one) => one.value)).toEqual(['event_1500', 'other'])
  expect(found(options, 'LATE pay')).toHaveLength(2)
  expect(found(options, '')).toBe(options)
})

describe('instants', () => {
  it('are those of the zone, also around a change of clocks', () => {
    expect(toInstant('2026-10-01T08:00', 'Asia/Shanghai')).toBe('2026-10-01T08:00:00+08:00')
    expect(toInstant('2026-07-01T08:00', 'America/New_York')).toBe('2026-07-01T08:00:00-04:00')
    expect(toInstant('2026-11-01T08:00', 'America/New_York')).toBe('2026-11-01T08:00:00-05:00')
    expect(toInstant('2026-03-08T03:30', 'America/New_York')).toBe('2026-03-08T03:30:00-04:00')
    expect(toInstant('2026-10-01T08:00', 'Asia/Kolkata')).toBe('2026-10-01T08:00:00+05:30')
    expect(toInstant('', 'UTC')).toBe('')
  })
  it('are shown as they were typed', () => {
    for (const zone of ['Asia/Shanghai', 'America/New_York', 'Asia/Kolkata', 'UTC']) expect(toLocal(toInstant('2026-10-01T08:05', zone), zone)).toBe('2026-10-01T08:05')
    expect(toLocal('', 'UTC')).toBe('')
  })
})
