/** Where behaviour without a time of its own is looked for: `time` of a cohort (docs/cohorts.md). */
import { dateIn } from '@/query/catalogue'

export interface CohortTime {
  from: string | null
  to: string
  tz: string | null
}
/** `ever`: all the time up to now; `until`: all up to a day; `range`: from a day to a day. */
export const TIME_KINDS = ['ever', 'range', 'until'] as const
export type TimeKind = (typeof TIME_KINDS)[number]

export function kindOfTime({ from, to }: CohortTime): TimeKind {
  return from !== null ? 'range' : to === 'now' ? 'ever' : 'until'
}

/** The same, turned into another kind; what it begins with can be changed then. */
export function turned(time: CohortTime, kind: TimeKind, zone: string, now = Date.now()): CohortTime {
  if (kind === kindOfTime(time)) return time
  if (kind === 'ever') return { ...time, from: null, to: 'now' }
  if (kind === 'range') return { ...time, from: '-90d', to: 'yesterday' }
  return { ...time, from: null, to: dateIn(now, zone) }
}
