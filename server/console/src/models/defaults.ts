/** What the query language takes for fields that a body leaves out, as far as the forms edit them (docs/query.md). */
import type { Model, QueryDoc } from '@/api/types'

const DEFAULTS: Partial<Record<Model, Record<string, unknown>>> = {
  event: { formula: [] },
  funnel: { window: { n: 7, unit: 'day' } },
  interval: { cap: { n: 7, unit: 'day' } },
  attribution: { lookback: { n: 7, unit: 'day' }, models: ['last'], match: [] },
  session: { events: { e: '*' }, session: {}, measure: ['sessions', 'users', 'duration_avg', 'depth_avg', 'bounce_rate'], distribution: null },
  concurrency: { events: { e: '*' }, session: {}, minutes: null, tail: null },
  user_property: { measures: [], active: null, as_of: null, auto_buckets: [], persona: null },
  path: { events: [{ e: '*' }] },
  rfm: { monetary: '' },
}

/** The query with all that its form edits; asked, it gives the same answer. */
export function complemented(query: QueryDoc): QueryDoc {
  const body = { ...copyOf(DEFAULTS[query.model]), ...(query.body as object) }
  return { where: null, audience: null, by: [], compare: null, ...query, body }
}

function copyOf(value: unknown): object {
  return value === undefined ? {} : (JSON.parse(JSON.stringify(value)) as object)
}
