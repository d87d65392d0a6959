/** Projects, keys and accounts: what the API takes and gives. */
import { del, get, patch, post } from '@/api/client'
import type { Project } from '@/api/types'

export type Role = 'administrator' | 'analyst' | 'viewer'
export const ROLES: readonly Role[] = ['viewer', 'analyst', 'administrator']
export type KeyKind = 'write' | 'read' | 'admin'
export const KEY_KINDS: readonly KeyKind[] = ['write', 'read', 'admin']

export interface KeyInfo {
  id: string
  project: string
  kind: KeyKind
  note: string
  created_ms: number
  revoked_ms: number | null
}
export interface AccountInfo {
  id: string
  login: string
  name: string
  role: Role
  language: string
  disabled: boolean
  must_change: boolean
  created_ms: number
  signed_in_ms: number | null
}

export const projects = async (signal?: AbortSignal) => (await get<{ projects: Project[] }>('/v1/projects', { signal })).projects
export const makeProject = (name: string, tz: string) => post<Project>('/v1/projects', { name, tz })

export const keys = async (signal?: AbortSignal) => (await get<{ keys: KeyInfo[] }>('/v1/keys', { signal })).keys
export const makeKey = (kind: KeyKind, note: string) => post<{ key: KeyInfo; text: string }>('/v1/keys', { kind, note })
export const revokeKey = (id: string) => del<unknown>(`/v1/keys/${encodeURIComponent(id)}`)

/** Those that still open something; `old`: the revoked ones, too. */
export const keysShown = (all: readonly KeyInfo[], old: boolean): KeyInfo[] => all.filter((one) => old || one.revoked_ms === null)

export const accounts = async (signal?: AbortSignal) => (await get<{ accounts: AccountInfo[] }>('/v1/accounts', { signal })).accounts
export interface FreshAccount {
  login: string
  name: string
  role: Role
  language: string
}
/** As it is sent: nobody means the blanks around a name. */
export const trimmed = (fresh: FreshAccount): FreshAccount => ({ ...fresh, login: fresh.login.trim(), name: fresh.name.trim() })
export const makeAccount = (fresh: FreshAccount) =>
  post<{ account: AccountInfo; password: string }>('/v1/accounts', fresh)
export const changeAccount = (id: string, changes: Partial<Pick<AccountInfo, 'role' | 'name' | 'language' | 'disabled'>> & { new_password?: boolean }) =>
  patch<{ account: AccountInfo; password?: string }>(`/v1/accounts/${encodeURIComponent(id)}`, changes)

/** Zones that browsers know, the usual ones first. */
export function zones(): string[] {
  const usual = ['Asia/Shanghai', 'Asia/Hong_Kong', 'Asia/Urumqi', 'Asia/Tokyo', 'Asia/Singapore', 'UTC', 'Europe/London', 'Europe/Berlin', 'America/New_York', 'America/Los_Angeles']
  const known = (Intl as unknown as { supportedValuesOf?: (what: string) => string[] }).supportedValuesOf?.('timeZone') ?? []
  return [...new Set([...usual, ...known])]
}
