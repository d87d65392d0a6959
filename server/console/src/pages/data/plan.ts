/** The tracking plan: its document, what is seen and not declared, and saving a version. */
import { get, put } from '@/api/client'
import { catalogue } from '@/query/catalogue'

export type Mode = 'open' | 'warn' | 'strict'
export const MODES: readonly Mode[] = ['open', 'warn', 'strict']
export const KINDS = ['', 'bool', 'int64', 'float64', 'datetime', 'string', 'list'] as const
export const SENSITIVE = ['', 'refuse', 'tokenise'] as const

export interface PlanEvent {
  name: string
  title?: string
  description?: string
  owner?: string
  properties?: string[] | null
  deprecated?: boolean
}
export interface PlanProperty {
  name: string
  kind?: string
  title?: string
  description?: string
  owner?: string
  sensitive?: string
  purpose?: string
  values?: (string | number | boolean)[] | null
  deprecated?: boolean
}
export interface PlanDoc {
  mode?: Mode
  presets?: boolean
  on_mismatch?: 'record' | 'property'
  late?: { back_days?: number; ahead_hours?: number }
  common?: string[]
  events?: PlanEvent[]
  properties?: PlanProperty[]
  user_properties?: PlanProperty[]
  purposes?: { name: string; title?: string; description?: string; property?: string }[]
}
export interface Version {
  version: number
  mode: Mode
  author: string
  note: string
  created_ms: number
}
export type Listed = 'events' | 'properties' | 'user_properties'

export const current = (signal?: AbortSignal) => get<Version & { plan: PlanDoc }>('/v1/plan', { signal })
export const versionOf = (version: number, signal?: AbortSignal) => get<Version & { plan: PlanDoc }>('/v1/plan', { query: { version }, signal })
export const history = async (signal?: AbortSignal) =>
  (await get<{ versions: (Version & { changes: string[] })[] }>('/v1/plan/history', { signal })).versions

/** Keeps a new version; a conflict when somebody else made one since `expected`. */
export function save(plan: PlanDoc, expected: number, note: string): Promise<Version> {
  return put<Version>('/v1/plan', plan, { query: { expected, note } })
}

/** An entry without what is empty: the document stays short. */
export function tidy<T extends object>(entry: T): T {
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== '' && value !== false && value !== undefined && value !== null)) as T
}

/** Values as the kind wants them, a line each; what is no number stays a text, which the server then explains. */
export function valuesOf(lines: string, kind: string | undefined): (string | number | boolean)[] | null {
  const some = lines.split('\n').map((one) => one.trim()).filter(Boolean)
  if (!some.length) return null
  return some.map((one) => {
    if ((kind === 'int64' || kind === 'float64') && Number.isFinite(Number(one))) return Number(one)
    if (kind === 'bool' && (one === 'true' || one === 'false')) return one === 'true'
    return one
  })
}

/** Key of a text that says what is wrong with a name; '' when it can be kept. `before`: the entry's own, until now. */
export function wrongName(name: string, before: string, all: readonly { name: string }[]): string {
  const mine = name.trim().toLowerCase()
  if (!mine) return 'keep.needName'
  return all.some((one) => one.name !== before && one.name.toLowerCase() === mine) ? 'data.nameTaken' : ''
}

/** What a form of an entry keeps: the fields of its sort that are filled in. */
export function entryOf(what: Listed, mine: PlanEvent & PlanProperty, form: { values: string; properties: string[] | null }): PlanEvent | PlanProperty {
  const { name, title, description, owner, deprecated, kind, sensitive, purpose } = mine
  const shared = { name: name.trim(), title, description, owner, deprecated }
  return what === 'events' ? tidy({ ...shared, properties: form.properties }) : tidy({ ...shared, kind, sensitive, purpose, values: valuesOf(form.values, kind) })
}

/** With the entry in place of the one named `before`, or at the end. */
export function withEntry<T extends { name: string }>(list: readonly T[] | undefined, entry: T, before = entry.name): T[] {
  const all = list ?? []
  return all.some((one) => one.name === before) ? all.map((one) => (one.name === before ? entry : one)) : [...all, entry]
}

/** Whether the plan takes the name as the SDKs' own. */
const preset = (plan: PlanDoc, name: string) => plan.presets !== false && name.startsWith('$')

/** What was stored and the plan does not name. */
export function undeclared(plan: PlanDoc): { events: PlanEvent[]; properties: PlanProperty[]; user_properties: PlanProperty[] } {
  const names = (list?: { name: string }[]) => new Set((list ?? []).map((one) => one.name.toLowerCase()))
  const [events, properties, users] = [names(plan.events), names(plan.properties), names(plan.user_properties)]
  const seen = (scope: 'event' | 'user', known: Set<string>) =>
    catalogue.properties
      .filter((one) => one.scope === scope && one.origin === 'sent' && !preset(plan, one.name) && !known.has(one.name.toLowerCase()))
      .map((one) => ({ name: one.name, kind: one.kind }))
  return {
    events: catalogue.events
      .filter((one) => !one.virtual && !preset(plan, one.name) && !events.has(one.name.toLowerCase()))
      .map((one) => ({ name: one.name })),
    properties: seen('event', properties),
    user_properties: seen('user', users),
  }
}
