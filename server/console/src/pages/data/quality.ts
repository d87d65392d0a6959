/** Counters of data quality: read, and summed up by one of their fields. */
import { get } from '@/api/client'
import { dateMoved } from '@/query/catalogue'

export interface Counter {
  day: string
  reason: string
  severity: 'rejected' | 'warning'
  sdk: string
  app: string
  events: number
}
export type Field = 'reason' | 'sdk' | 'app'

export const quality = async (from: string, to: string, signal?: AbortSignal) =>
  (await get<{ rows: Counter[] }>('/v1/quality', { query: { from, to }, signal })).rows

export interface Sum {
  key: string
  rejected: number
  warning: number
  total: number
}

/** Sums by a field, the greatest first. */
export function sums(rows: readonly Counter[], field: Field): Sum[] {
  const found = new Map<string, Sum>()
  for (const row of rows) {
    const key = row[field]
    let sum = found.get(key)
    if (!sum) found.set(key, (sum = { key, rejected: 0, warning: 0, total: 0 }))
    sum[row.severity] += row.events
    sum.total += row.events
  }
  return [...found.values()].sort((a, b) => b.total - a.total)
}

/** Days of a range, and what was found on each. */
export function perDay(rows: readonly Counter[], from: string, to: string): { days: string[]; rejected: number[]; warning: number[] } {
  const days: string[] = []
  for (let day = from; day <= to && days.length < 400; day = dateMoved(day, 1)) days.push(day)
  const at = new Map(days.map((day, k) => [day, k]))
  const made = { days, rejected: days.map(() => 0), warning: days.map(() => 0) }
  for (const row of rows) {
    const k = at.get(row.day)
    if (k !== undefined) made[row.severity][k]! += row.events
  }
  return made
}
