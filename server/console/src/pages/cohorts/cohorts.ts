/** The API of cohorts (docs/cohorts.md), as far as these pages use it. */
import { del, download, get, post, put } from '@/api/client'
import type { AudienceDoc } from '@/api/types'

export interface Cohort {
  name: string
  description: string
  kind: 'rule' | 'list' | 'cell'
  /** `"week 03:00"` */
  schedule: string | null
  users: number | null
  at_ms: number | null
  made_ms: number | null
}
export interface Schedule {
  every: 'hour' | 'day' | 'week' | 'month'
  at: string
}
export interface Definition {
  name: string
  rule: AudienceDoc | null
  description: string
  schedule: Schedule | null
  time: { from: string | null; to: string; tz: string | null }
  versions: number
}
export interface Version {
  at_ms: number
  made_ms: number
  users: number
  at: string
}
export interface CohortShown extends Cohort {
  definition: Definition
  source: { kind: string; id_type?: string; query?: unknown; pick?: unknown } | null
  /** Newest first. */
  versions: Version[]
  reads: string[]
  used_by: string[]
  warnings?: unknown[]
}
export interface Estimate {
  users: number
  of: number
  exact: boolean
  share: number
  low: number
  high: number
  elapsed_ms: number
  warnings: unknown[]
}
export type Member = Record<string, string | null>
export interface Members {
  users: Member[]
  next: string | null
  total: number
}
export interface Overlap {
  users: Record<string, number>
  only: Record<string, number>
  all: number
  any: number
  pairs: { first: string; second: string; both: number; only_first: number; only_second: number }[]
}
export interface LoadedIds {
  given: number
  found: number
  unknown: number
  examples: string[]
  users: number
}

const at = (name: string) => `/v1/cohorts/${encodeURIComponent(name)}`

export const listed = (signal?: AbortSignal) => get<{ cohorts: Cohort[] }>('/v1/cohorts', { signal }).then((got) => got.cohorts)
export const shown = (name: string, signal?: AbortSignal) => get<CohortShown>(at(name), { signal })
export const define = (definition: Partial<Definition>) => put<CohortShown>('/v1/cohorts', definition)
export const remove = (name: string, cascade: boolean) => del<{ removed: string[] }>(at(name), { query: { cascade } })
export const estimate = (definition: Partial<Definition>, signal?: AbortSignal) => post<Estimate>('/v1/cohorts/estimate', definition, { signal })
export const refresh = (name: string, as_of?: string, parts = false) =>
  post<{ made: { users: number }[] }>('/v1/cohorts/refresh', { name, as_of: as_of || null, parts })
export const overlap = (cohorts: string[], signal?: AbortSignal) => post<Overlap>('/v1/cohorts/overlap', { cohorts }, { signal })
export const members = (name: string, query: { after?: string | null; limit: number; id_type: string; as_of?: string }, signal?: AbortSignal) =>
  get<Members>(`${at(name)}/members`, { query, signal })
export const contains = (name: string, id: string, id_type: string) => get<{ contains: boolean }>(`${at(name)}/contains`, { query: { id, id_type } }).then((got) => got.contains)
export const exportIds = (name: string, id_type: string, as_of?: string) => download('GET', `${at(name)}/export`, { query: { id_type, as_of } }, `${name}.csv`)
export const loadIds = (name: string, file: Blob, query: { id_type: string; column?: string; how: string; description?: string }) =>
  post<LoadedIds>(`${at(name)}/load`, file, { query, headers: { 'content-type': 'text/csv' } })

/** The types of ids that everybody has; others are typed in. */
export const ID_TYPES = ['user_id', 'device_id', '$identity_mobile', '$identity_email', '$identity_idfa', '$identity_android_id'] as const

/** `"cohort 'families'"` of the API's `reads` and `used_by`. */
export function partOf(told: string): { kind: 'tag' | 'cohort' | 'property'; name: string } | null {
  const found = /^(tag|cohort|property) (['"])([\s\S]*)\2$/.exec(told)
  return found ? { kind: found[1] as 'tag', name: found[3]!.replace(/\\(['"\\])/g, '$1') } : null
}
/** What is wrong with a name, if anything: an API's rule told before it is asked. */
export function nameIsFit(name: string): boolean {
  return name.length > 0 && name.length <= 100 && name === name.trim() && !/[@/\p{C}]/u.test(name)
}
