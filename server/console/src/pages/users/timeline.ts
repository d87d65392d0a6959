/** A user's timeline: what is asked for a page of it, and its rows put together into sessions. */
import { dayOf } from '@/parts/figures'

import type { Happening, Whom } from './people'

export const LIMIT = 100

/** What narrows the timeline; `events` '' or `*`: any. */
export interface Narrowing {
  order: 'desc' | 'asc'
  events: string | string[]
  dates: { from: string; to: string }
}

export const isNarrowed = ({ events, dates }: Narrowing): boolean => (events !== '*' && events !== '' && events.length > 0) || !!dates.from || !!dates.to

/** The body of `POST /v1/users/timeline`; `cursor` of the page before, null for the first. */
export function documentOf(whom: Whom, { order, events, dates }: Narrowing, cursor: string | null): Record<string, unknown> {
  const time = { ...(dates.from ? { from: dates.from } : {}), ...(dates.to ? { to: dates.to } : {}) }
  return {
    ...whom, order, limit: LIMIT, e: events.length ? events : '*',
    ...(Object.keys(time).length ? { time } : {}), ...(cursor ? { cursor } : {}),
  }
}

export interface Session {
  number: number
  day: string
  /** Place of its first row among all. */
  first: number
  rows: Happening[]
  ms: number
}

/** Neighbours of one session, in the order of the rows. */
export function sessionsOf(rows: readonly Happening[]): Session[] {
  const found: Session[] = []
  rows.forEach((row, k) => {
    const last = found[found.length - 1]
    if (last && last.number === row.session) last.rows.push(row)
    else found.push({ number: row.session, day: dayOf(row.time), first: k, rows: [row], ms: 0 })
  })
  for (const one of found) {
    const times = one.rows.map((row) => Date.parse(row.time))
    one.ms = Math.max(...times) - Math.min(...times)
  }
  return found
}
