/** Whose an id is, who a user is, and the pages of his timeline. */
import { get, post } from '@/api/client'
import { Problem } from '@/api/problems'
import type { Answer, QueryDoc } from '@/api/types'
import { catalogue, load } from '@/query/catalogue'

export interface Owner {
  from: number | null
  to: number | null
  user_id: string | null
}
/** `GET /v1/identity`. */
export interface Identity {
  id: string
  customer: { devices: { device_id: string; since: number }[] } | null
  device: { owners: Owner[]; seen: { user_id: string; first: number; apart: number[] }[] } | null
}
/** One of the two names a user by. */
export interface Whom {
  user_id?: string
  device_id?: string
}
/** `GET /v1/users/profile`. */
export interface Profile {
  ids: Whom[]
  properties: Record<string, unknown>
  cohorts: string[]
  tags: Record<string, unknown>
}
export interface Happening {
  time: string
  event: string
  session: number
  device_id: string | null
  properties: Record<string, unknown>
}
export interface Page {
  rows: Happening[]
  events: number
  sessions: number
  next: string | null
}

const TYPED = '$identity_'

/** `$identity_mobile+138…` → its type and value; null for other ids. */
export function typed(id: string): { type: string; value: string } | null {
  const match = /^\$identity_([^+]+)\+(.*)$/s.exec(id)
  return match ? { type: match[1]!, value: match[2]! } : null
}

/** All that an entered text is known as: a customer, a device, or a phone number and the like. */
export async function search(text: string, signal?: AbortSignal): Promise<Identity[]> {
  const found = await identity(text, signal)
  if (found.length || text.startsWith('$')) return found
  await load()
  const types = new Set(catalogue.properties.map((one) => one.name).filter((name) => name.startsWith(TYPED)))
  const more = await Promise.all([...types].map((type) => identity(`${type}+${text}`, signal)))
  return more.flat()
}

async function identity(id: string, signal?: AbortSignal): Promise<Identity[]> {
  try {
    return [await get<Identity>('/v1/identity', { query: { id }, signal })]
  } catch (error) {
    if (error instanceof Problem && error.code === 'not_found') return []
    throw error
  }
}

/** Who owns a device's events now; null: nobody, the device is a user of its own. */
export function ownerNow(one: Identity): string | null {
  return one.device?.owners.find((owner) => owner.to === null)?.user_id ?? null
}

export const profile = (whom: Whom, signal?: AbortSignal): Promise<Profile> =>
  get<Profile>('/v1/users/profile', { query: { ...whom }, signal })

/** Everything that is known of the ids of one user. */
export async function identityOf(whom: Whom, signal?: AbortSignal): Promise<Identity | null> {
  return (await identity(whom.user_id ?? whom.device_id ?? '', signal))[0] ?? null
}

export async function timeline(document: Record<string, unknown>, signal?: AbortSignal): Promise<Page> {
  const answer = await post<Answer>('/v1/users/timeline', document, { signal })
  const at = Object.fromEntries(answer.columns.map((column, k) => [column.name, k]))
  return {
    rows: answer.rows.map((row) => ({
      time: row[at.time!] as string,
      event: row[at.event!] as string,
      session: row[at.session!] as number,
      device_id: row[at.device_id!] as string | null,
      properties: (row[at.properties!] ?? {}) as Record<string, unknown>,
    })),
    events: Number(answer.totals.events ?? 0),
    sessions: Number(answer.totals.sessions ?? 0),
    next: (answer.meta.next as string | null) ?? null,
  }
}

/** Some who did something lately, to begin with. */
export async function lately(many: number, signal?: AbortSignal): Promise<Whom[]> {
  await load()
  const newest = catalogue.newest
  if (newest === null) return []
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10)
  const query: QueryDoc = {
    model: 'event',
    time: { from: day(newest - 2 * 86_400_000), to: day(newest + 86_400_000), grain: 'all' },
    body: { series: [{ e: '*', measure: 'users' }] },
  }
  const answer = await post<Answer>('/v1/query/users', { query, pick: { series: 'A' } }, { signal })
  const at = Object.fromEntries(answer.columns.map((column, k) => [column.name, k]))
  return answer.rows.slice(0, many).map((row) => {
    const user = row[at.user_id!] as string | null
    return user !== null && user !== undefined ? { user_id: user } : { device_id: row[at.device_id!] as string }
  })
}
