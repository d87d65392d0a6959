// @vitest-environment node
/**
 * Every number that counts users opens exactly these users: against a live server with the demo's data.
 * `ZUJI_LIVE=http://127.0.0.1:8107 npx vitest run tests/live.test.ts` (`zuji serve --dev` on `zuji demo`'s data).
 */
import { describe, expect, it, vi } from 'vitest'

vi.stubGlobal('window', { matchMedia: undefined })
vi.stubGlobal('localStorage', { getItem: () => null, setItem: () => undefined })

import type { Answer, Model, Pick, QueryDoc } from '@/api/types'
import { KITS } from '@/models/kits'
import { rowsOf } from '@/models/rows'

const base = process.env.ZUJI_LIVE
/** Cells of a column that are looked at, from all over the answer. */
const SAMPLE = 5

async function post<T>(path: string, body: unknown): Promise<T> {
  const response = await fetch(`${base}${path}?project=demo`, { method: 'POST', body: JSON.stringify(body) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.status} ${text} for ${JSON.stringify(body)}`)
  return JSON.parse(text) as T
}

const P = 'purchase', C = 'campaign_contact', R = 'coupon_redemption'
const time = { from: '2017-12-01', to: '2017-12-31' }
const by = [{ p: 'event.department' }]
const top = { n: 2, other: true }
const compare = { shift: '-31d' }
const at = (grain: string) => ({ ...time, grain }) as QueryDoc['time']
const QUERIES: [Model, string, Partial<QueryDoc>][] = [
  ['event', 'of users', { time: at('week'), body: { series: [{ e: P, measure: 'users' }, { e: [C, R], measure: 'users', as: 'others' }] } }],
  ['event', 'by groups, compared', { time: at('all'), by, top, compare, body: { series: [{ e: P, measure: 'users' }] } }],
  ['funnel', 'of steps', { time: at('day'), body: { steps: [{ e: C }, { e: P }, { e: R }], window: { n: 30, unit: 'day' }, measure: ['ttc_median'] } }],
  ['funnel', 'over time by groups', { time: at('week'), by: [{ p: 'user.age' }], top, body: { steps: [{ e: C }, { e: P }], trend: true } }],
  ['retention', 'of weeks', { time: at('week'), body: { start: { e: P }, return: { e: P }, periods: 3 } }],
  ['retention', 'churn by groups, compared', { time: at('week'), by, top, compare, body: { start: { e: P }, return: { e: P }, periods: 2, churn: true } }],
  ['path', 'of users', { body: { events: [{ e: '*' }], nodes: [{ e: P, p: 'event.department' }], collapse: true, max_steps: 3, max_nodes: 3, count: 'users' } }],
  ['path', 'backwards', { body: { end: { e: R }, max_steps: 3, count: 'users' } }],
  ['distribution', 'with those of none', { time: at('week'), body: { e: P, measure: 'active_days', buckets: [2, 4], zero: 'all' } }],
  ['interval', 'of weeks', { time: { from: '2017-10-01', to: '2017-12-31', grain: 'week' }, body: { start: { e: C }, end: { e: P }, cap: { n: 30, unit: 'day' }, histogram: 'auto' } }],
  ['attribution', 'over time', { time: at('week'), body: { target: { e: P }, touches: [{ e: C, name: 'event.campaign_type' }, { e: R }], models: ['last', 'linear'], trend: true } }],
  ['session', 'of days by groups', { time: at('week'), by, top, body: { measure: ['sessions', 'users'] } }],
  ['session', 'by duration', { time: at('all'), body: { measure: ['sessions', 'users'], distribution: { of: 'duration' } } }],
  ['user_property', 'of groups', { by: [{ p: 'user.income' }], top, body: {} }],
  ['user_property', 'of a persona', { body: { persona: { group: { did: { e: R } }, base: null, properties: [{ p: 'user.income' }, { p: 'user.age' }] } } }],
  ['clicks', 'of elements', { top: { n: 4, other: true }, body: { e: P, page: 'event.department', element: 'event.brand', text: 'event.package_size' } }],
  ['ltv', 'of months', { time: { from: '2017-09-01', to: '2017-12-31', grain: 'month' }, body: { start: { e: P }, periods: 3, values: [{ e: P, p: 'event.sales_value' }] } }],
  ['lifecycle', 'of weeks', { time: at('week'), body: { event: { e: P } } }],
  ['stickiness', 'within weeks', { time: at('day'), body: { event: { e: P }, within: 'week' } }],
  ['rfm', 'of layers', { body: { event: { e: P }, monetary: 'event.sales_value' } }],
  ['rfm', 'of scores', { body: { event: { e: P }, monetary: 'event.sales_value', cells: 'scores' } }],
  ['concurrency', 'of days', { time: at('day'), body: {} }],
]

describe.skipIf(!base)('numbers of users', () => {
  it.each(QUERIES)('%s %s', async (model, _, more) => {
    const query = { model, time, ...more } as QueryDoc
    const answer = await post<Answer>('/v1/query', query)
    const rows = rowsOf(answer)
    let looked = 0
    for (const column of answer.columns) {
      const cells = rows.map((row) => ({ row, pick: row[column.name] ? KITS[model].pick(row, column, answer.query) : null })).filter((one): one is { row: (typeof rows)[0]; pick: Pick } => one.pick !== null)
      for (let k = 0; k < Math.min(SAMPLE, cells.length); k++) {
        const { row, pick } = cells[Math.floor((k * cells.length) / Math.min(SAMPLE, cells.length))]!
        const users = await post<Answer>('/v1/query/users', { query, pick })
        expect([column.name, pick, users.rows.length]).toEqual([column.name, pick, row[column.name]])
        looked++
      }
    }
    expect(looked).toBeGreaterThan(2)
  }, 60_000)
})
