/** Values that a property has, for choosing from: of the plan, else the most frequent ones. */
import { get } from '@/api/client'
import { isAbort, Problem } from '@/api/problems'

import { catalogue } from './catalogue'

export interface Suggestion {
  value: string | number | boolean
  count: number | null
}

const MOST = 100
const kept = new Map<string, Suggestion[]>()

/** Up to 100 values with `text` in them; none when they cannot be told. */
export async function suggestions(p: string, events: string | string[] | null, text: string, signal?: AbortSignal): Promise<Suggestion[]> {
  const planned = [...catalogue.properties, ...catalogue.tags].find((one) => one.p === p)?.values
  if (planned?.length) {
    return planned.map((value) => ({ value: value as string, count: null })).filter((one) => String(one.value).includes(text)).slice(0, MOST)
  }
  const event = Array.isArray(events) ? events[0] : events && events !== '*' ? events : undefined
  const key = JSON.stringify([catalogue.project, p, event, text])
  const before = kept.get(key)
  if (before) return before
  try {
    const found = await get<{ values: (Suggestion | string | number)[] }>('/v1/values', { query: { property: p, event, q: text, limit: MOST }, signal })
    const values = found.values.map((one) => (typeof one === 'object' ? { value: one.value, count: one.count ?? null } : { value: one, count: null }))
    kept.set(key, values)
    return values
  } catch (error) {
    if (isAbort(error) || error instanceof Problem) return []
    throw error
  }
}
