/** The API of tags (docs/tags.md), as far as these pages use it. */
import { del, get, post, put } from '@/api/client'
import type { AudienceDoc, EventDoc } from '@/api/types'

export const KINDS = ['layers', 'value', 'aggregate', 'rfm', 'expression', 'imported', 'manual'] as const
export type Kind = (typeof KINDS)[number]
export const COMPUTED: readonly Kind[] = ['layers', 'value', 'aggregate', 'rfm', 'expression']
export const TYPES = ['string', 'int64', 'float64', 'bool', 'datetime'] as const
export type Scalar = string | number | boolean

export interface Tag {
  name: string
  description: string
  kind: Kind
  type: string
  values: Scalar[] | null
  schedule: string | null
  archived: boolean
  last_day: string | null
  users: number | null
  made_ms: number | null
}
export interface Layer {
  v: Scalar
  if: AudienceDoc | null
}
/** One of the seven kinds; which fields are there says `kind`. */
export interface Rule {
  kind: Kind
  layers?: Layer[]
  days?: number | null
  events?: EventDoc
  p?: string
  take?: 'first' | 'last' | 'most_frequent'
  type?: string | null
  measure?: 'count' | Record<string, string>
  buckets?: number[] | null
  labels?: string[] | null
  event?: EventDoc
  monetary?: string
  gives?: string
  thresholds?: Record<string, number[] | null> | null
  quantiles?: number[] | null
  as?: string
  values?: Scalar[] | null
}
export interface Schedule {
  every: 'day' | 'week' | 'month'
  at: string
}
export interface Definition {
  name: string
  rule: Rule
  description: string
  else: Scalar | null
  schedule: Schedule | null
  keep_days: number
}
export interface TagShown extends Tag {
  definition: Definition
  days: { day: string; users: number; made_ms: number }[]
  reads: string[]
  used_by: string[]
  warnings?: unknown[]
}
export interface Values {
  day: string | null
  users: number
  rows: [Scalar | null, number][]
}
export interface Made {
  tag: string
  day: string
  users?: number
  code?: string
  message?: string
}
export interface GraphDoc {
  nodes: { kind: NodeKind; name: string }[]
  edges: { of: { kind: NodeKind; name: string }; reads: { kind: NodeKind; name: string } }[]
}
export type NodeKind = 'tag' | 'cohort' | 'property'
export interface Given {
  users: number
  cleared: number
  unknown: number
  unknown_ids: string[]
}

const at = (name: string) => `/v1/tags/${encodeURIComponent(name)}`

export const listed = (archived: boolean, signal?: AbortSignal) => get<{ tags: Tag[] }>('/v1/tags', { query: { archived }, signal }).then((got) => got.tags)
export const shown = (name: string, signal?: AbortSignal) => get<TagShown>(at(name), { signal })
export const define = (definition: Partial<Definition>) => put<TagShown>('/v1/tags', definition)
export const remove = (name: string, cascade: boolean) => del<{ removed: string[] }>(at(name), { query: { cascade } })
export const archive = (name: string, back: boolean) => post<TagShown>(`${at(name)}/archive`, undefined, { query: { back } })
export const values = (name: string, day: string | undefined, limit: number, signal?: AbortSignal) => get<Values>(`${at(name)}/values`, { query: { day, limit }, signal })
export const refresh = (names: string[] | null, day?: string, from?: string, missing = false) =>
  post<{ made: Made[] }>('/v1/tags/refresh', { names, ...(day ? { day } : {}), ...(from ? { from } : {}), missing }).then((got) => got.made)
export const graph = (signal?: AbortSignal) => get<GraphDoc>('/v1/graph', { signal })
export const history = (name: string, id: string, id_type: string) => get<{ rows: Record<string, unknown>[] }>(`${at(name)}/history`, { query: { id, id_type } }).then((got) => got.rows)
export const give = (name: string, users: Record<string, Scalar | null>, who: string, id_type: string) => post<{ users: number }>(`${at(name)}/give`, { users, who, id_type })
export const loadFile = (name: string, file: Blob, query: { id_type: string; id_column: string; value_column: string; day?: string; add: boolean }) =>
  post<Given>(`${at(name)}/load`, file, { query, headers: { 'content-type': 'text/csv' } })

/** Letters and digits of any script, `_` and `-`. */
export const nameIsFit = (name: string): boolean => name.length <= 100 && /^[\p{L}\p{N}][\p{L}\p{N}_-]*$/u.test(name)

export const takesFile = (kind: Kind): boolean => kind === 'imported'
