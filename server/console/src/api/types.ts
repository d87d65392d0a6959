/** What the API takes and gives. The query's own types are made of its JSON Schema (`query.d.ts`). */
export type * from './query'

/** The models, in the order of the navigation. */
export const MODELS = [
  'event', 'funnel', 'retention', 'path', 'distribution', 'interval', 'attribution', 'session',
  'user_property', 'clicks', 'ltv', 'lifecycle', 'stickiness', 'rfm', 'concurrency',
] as const
export type Model = (typeof MODELS)[number]

export type Cell = string | number | boolean | null | Record<string, unknown> | unknown[]
export interface Column {
  name: string
  type: string
  unit: string | null
}
export interface Meta {
  range: { from: string; to: string }
  complete_until?: string | null
  watermark?: string | null
  rows_read: number
  bytes_read: number
  elapsed_ms: number
  truncated: boolean
  total_kind?: string
  warnings: unknown[]
  [more: string]: unknown
}
export interface Answer {
  v: number
  query: QueryDoc
  columns: Column[]
  rows: Cell[][]
  totals: Record<string, unknown>
  meta: Meta
}
/** A row by the names of its columns. */
export type Row = Record<string, Cell>

/** Which cell: docs/query.md, "The users behind a cell". */
export type Pick = Record<string, unknown>

export type Grain = 'hour' | 'day' | 'week' | 'month' | 'quarter' | 'year' | 'all'
export interface TimeDoc {
  from?: string
  to?: string
  tz?: string | null
  grain?: Grain
  week_start?: 1 | 7
}
export interface FilterLeaf {
  p: string
  op: string
  v?: unknown
}
export type FilterDoc = FilterLeaf | { all: FilterDoc[] } | { any: FilterDoc[] } | { not: FilterDoc }
/** `audience`: docs/query.md, "Audiences". Edited as free JSON with known leaves. */
export type AudienceDoc = Record<string, unknown>
export interface ByDoc {
  p: string
  buckets?: number[]
  as_of?: 'now' | 'event'
  attr?: unknown
}
/** An events part of a body: `{"e", "where"}` and what stands beside it. */
export interface EventDoc {
  e: string | string[]
  where?: FilterDoc | null
  [more: string]: unknown
}
export interface QueryDoc {
  v?: number
  model: Model
  project?: string
  time?: TimeDoc
  unit?: string
  where?: FilterDoc | null
  audience?: AudienceDoc | null
  by?: ByDoc[]
  top?: { n?: number; other?: boolean }
  compare?: { shift?: string; audience?: AudienceDoc } | null
  // Each model's form knows its body; schema.json says what the API takes.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any
}

export interface EventInfo {
  name: string
  rows: number
  first_ms: number | null
  last_ms: number | null
  virtual: boolean
  title: string
  description: string
  deprecated: boolean
}
export interface PropertyInfo {
  name: string
  p: string
  kind: string
  scope: 'event' | 'user'
  events: string[]
  origin: string
  title: string
  description: string
  deprecated: boolean
  values: unknown[] | null
}
export interface Schema {
  events: EventInfo[]
  properties: PropertyInfo[]
}
export interface Account {
  id: string
  login: string
  name: string
  role: 'administrator' | 'analyst' | 'viewer'
  language?: string | null
}
export interface Project {
  name: string
  tz: string
}
export interface Me {
  account: Account
  csrf: string
  must_change: boolean
  permissions: string[]
  projects: Project[]
  version: string
  dev: boolean
}
