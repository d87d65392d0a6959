/** Counts per day of all events, in one query; recent rows of one. */
import { ask } from '@/api/ask'
import { get } from '@/api/client'
import { catalogue, dateIn, dateMoved, load } from '@/query/catalogue'
import { zone } from '@/shell/session'

export const DAYS = 30
/** Events that are told apart; more groups than a query gives have no bars. */
const MOST = 1000

export interface Volumes {
  days: string[]
  /** Counts of `days` by the event's name. */
  of: Map<string, number[]>
}

/** Of the 30 days that end with the newest event. */
export async function volumes(signal?: AbortSignal): Promise<Volumes> {
  await load()
  if (catalogue.newest === null) return { days: [], of: new Map() }
  const last = dateIn(Math.min(catalogue.newest, Date.now()), zone.value)
  const days = Array.from({ length: DAYS }, (_, k) => dateMoved(last, k + 1 - DAYS))
  const answer = await ask(
    {
      model: 'event',
      time: { from: days[0]!, to: last, grain: 'day' },
      by: [{ p: 'event.$name' }],
      top: { n: MOST, other: false },
      body: { series: [{ e: '*' }] },
    },
    { signal },
  )
  const at = Object.fromEntries(answer.columns.map((column, k) => [column.name, k]))
  const place = new Map(days.map((day, k) => [day, k]))
  const of = new Map<string, number[]>()
  for (const row of answer.rows) {
    const name = row[at['event.$name']!] as string
    const k = place.get(String(row[at.bucket!]).slice(0, 10))
    if (k === undefined) continue
    let counts = of.get(name)
    if (!counts) of.set(name, (counts = days.map(() => 0)))
    counts[k] = Number(row[at.value!] ?? 0)
  }
  return { days, of }
}

export interface Sample {
  time: string
  event: string
  user_id: string | null
  device_id: string | null
  properties: Record<string, unknown>
}

/** The newest events of a name. */
export async function samples(event: string, limit: number, signal?: AbortSignal): Promise<Sample[]> {
  const found = await get<{ rows: Sample[] }>('/v1/events/sample', { query: { event, limit }, signal })
  return found.rows
}

/** The most frequent values of a property. */
export async function valuesOf(property: string, signal?: AbortSignal): Promise<{ value: unknown; count: number | null }[]> {
  const found = await get<{ values: { value: unknown; count: number | null }[] }>('/v1/values', { query: { property, limit: 20 }, signal })
  return found.values
}
