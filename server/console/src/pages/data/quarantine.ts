/** Refused events: listing, sending again with changes, discarding. */
import { get, post, send } from '@/api/client'
import { dateMoved } from '@/query/catalogue'
import { dayStart } from '@/query/instants'
import { zone } from '@/shell/session'

export const PAGE = 200

export interface Refused {
  id: string
  received_ms: number
  index: number
  reason: string
  path: string
  message: string
  event: unknown
}
export interface Filter {
  reason?: string
  from_ms?: number
  to_ms?: number
}
export interface Mend {
  rename_event?: Record<string, string>
  rename_property?: Record<string, string>
  drop?: string[]
  set?: Record<string, unknown>
  time_free?: boolean
}
export interface Left {
  id: string
  code: string
  path: string
  message: string
}
export interface Outcome {
  stored: number
  duplicates: number
  left: Left[]
}

export function filterOf(reason: string, dates: { from: string; to: string }): Filter {
  return {
    ...(reason ? { reason } : {}),
    ...(dates.from ? { from_ms: dayStart(dates.from, zone.value) } : {}),
    ...(dates.to ? { to_ms: dayStart(dateMoved(dates.to, 1), zone.value) } : {}),
  }
}

export const list = async (filter: Filter, after: string, signal?: AbortSignal) =>
  (await get<{ rows: Refused[] }>('/v1/rejected', { query: { ...filter, after, limit: PAGE }, signal })).rows

/** Rows after another page came; `whole` when that was the last. */
export const joined = (before: readonly Refused[], page: readonly Refused[]) => ({ rows: [...before, ...page], whole: page.length < PAGE })

/** The name that a refused event was sent with. */
export const nameOf = (one: Refused): string => String((one.event as { event?: unknown } | null)?.event ?? '–')

/** Ids of those of the same name that were refused for the same, itself among them. */
export const alikeOf = (rows: readonly Refused[], one: Refused): string[] =>
  rows.filter((other) => other.reason === one.reason && nameOf(other) === nameOf(one)).map((other) => other.id)

export const replay = (which: Filter & { ids?: string[] }, mend?: Mend) => post<Outcome>('/v1/rejected/replay', { ...which, ...(mend ? { mend } : {}) })

/** What would become of one event with these changes. */
export async function forecast(id: string, mend: Mend): Promise<Record<string, unknown>> {
  const found = await post<{ rows: Record<string, unknown>[] }>('/v1/rejected/replay', { ids: [id], mend, dry_run: true })
  return found.rows[0] ?? {}
}

/** One, or all that the filter finds. */
export async function discard(filter: Filter, id = ''): Promise<void> {
  await send('DELETE', '/v1/rejected', { query: { ...filter, id } })
}

/** An event as it is edited: names and values as texts. */
export interface Draft {
  event: string
  properties: { before: string; name: string; text: string; drop: boolean }[]
  added: { name: string; text: string }[]
  timeFree: boolean
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

export function draftOf(event: unknown): Draft {
  const known = (event ?? {}) as { event?: unknown; properties?: Record<string, unknown>; time_free?: boolean }
  return {
    event: String(known.event ?? ''),
    properties: Object.entries(known.properties ?? {}).map(([name, value]) => ({ before: name, name, text: textOf(value), drop: false })),
    added: [],
    timeFree: known.time_free === true,
  }
}

/** A typed value: numbers and truths where the property is of such a kind, or was none but a text. */
export function valueOf(text: string, kind: string): unknown {
  const plain = text.trim()
  if (['int64', 'float64'].includes(kind) && plain !== '' && Number.isFinite(Number(plain))) return Number(plain)
  if (kind === 'bool' && (plain === 'true' || plain === 'false')) return plain === 'true'
  if (kind === 'list') {
    try {
      const list: unknown = JSON.parse(plain)
      if (Array.isArray(list)) return list
    } catch { /* words with commas between them */ }
    return plain.split(/[,，、]/).map((one) => one.trim()).filter(Boolean)
  }
  return text
}

/** What the draft changes about the event; null: nothing. */
export function mendOf(event: unknown, draft: Draft, kindOf: (name: string) => string): Mend | null {
  const known = (event ?? {}) as { event?: unknown; properties?: Record<string, unknown>; time_free?: boolean }
  const mend: Mend = {}
  if (typeof known.event === 'string' && draft.event !== known.event && draft.event) mend.rename_event = { [known.event]: draft.event }
  for (const one of draft.properties) {
    if (one.drop) (mend.drop ??= []).push(one.before)
    else {
      if (one.name && one.name !== one.before) (mend.rename_property ??= {})[one.before] = one.name
      if (one.text !== textOf(known.properties?.[one.before])) (mend.set ??= {})[one.name] = valueOf(one.text, kindOf(one.name))
    }
  }
  for (const one of draft.added) if (one.name) (mend.set ??= {})[one.name] = valueOf(one.text, kindOf(one.name))
  if (draft.timeFree && !known.time_free) mend.time_free = true
  return Object.keys(mend).length ? mend : null
}
