/** The API of saved analyses. Every change keeps a version. */
import { del, get, post, put } from '@/api/client'
import { Problem } from '@/api/problems'
import type { Model, QueryDoc } from '@/api/types'
import type { View } from '@/models/kit'

type Owner = { id?: string; name?: string; login?: string } | string | null

export interface SavedEntry {
  id: string
  name: string
  folder: string
  description: string
  model: Model
  owner?: Owner
  created_ms?: number | null
  changed_ms?: number | null
  query?: QueryDoc
  view?: View | null
}
export interface Saved extends SavedEntry {
  query: QueryDoc
}
export interface SavedVersion {
  n: number
  name?: string
  changed_ms?: number | null
  by?: Owner
  query?: QueryDoc
  view?: View | null
}

const at = (id: string) => `/v1/saved/${encodeURIComponent(id)}`
const modelled = <T extends SavedEntry>(one: T): T => ({ ...one, model: one.model ?? one.query?.model, folder: one.folder ?? '', description: one.description ?? '' })

export const listed = (signal?: AbortSignal) => get<{ saved: SavedEntry[] }>('/v1/saved', { signal }).then((got) => got.saved.map(modelled))
export const opened = (id: string, signal?: AbortSignal) => get<Saved>(at(id), { signal }).then(modelled)
export const removed = (id: string) => del(at(id))
export const versions = (id: string, signal?: AbortSignal) => get<{ versions: SavedVersion[] }>(`${at(id)}/versions`, { signal }).then((got) => [...got.versions].sort((a, b) => b.n - a.n))
export const restored = (id: string, n: number) => post<Saved>(`${at(id)}/versions/${n}/restore`)

/** Changes some of it and keeps the rest as it is. */
export async function changed(id: string, change: Partial<Pick<Saved, 'name' | 'folder' | 'description'>>): Promise<void> {
  const { name, folder, description, query, view } = await opened(id)
  await put(at(id), { name, folder, description, query, view: view ?? {}, ...change })
}
export async function copied(id: string, name: string): Promise<void> {
  const { folder, description, query, view } = await opened(id)
  await post('/v1/saved', { name, folder, description, query, view: view ?? {} })
}

/** Those of some ids that are still there: of the list where it has the queries, else one by one. */
export async function savedOf(ids: string[]): Promise<Map<string, Saved>> {
  const found = new Map<string, Saved>()
  if (!ids.length) return found
  const all = new Map((await listed()).map((one) => [one.id, one]))
  await Promise.all([...new Set(ids)].map(async (id) => {
    const known = all.get(id)
    if (known?.query) return void found.set(id, known as Saved)
    try {
      found.set(id, await opened(id))
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 404) throw error
    }
  }))
  return found
}

export function ownerName(owner: Owner | undefined): string {
  if (!owner) return ''
  return typeof owner === 'string' ? owner : (owner.name || owner.login || '')
}

export interface FolderCount {
  folder: string
  count: number
}
/** All folders with how many are in each (and below it, of `a/b`); the one without a name last. */
export function foldersOf(all: SavedEntry[]): FolderCount[] {
  const counts = new Map<string, number>()
  for (const { folder } of all) {
    const parts = folder ? folder.split('/') : ['']
    parts.forEach((_, k) => {
      const path = parts.slice(0, k + 1).join('/')
      counts.set(path, (counts.get(path) ?? 0) + 1)
    })
  }
  return [...counts].map(([folder, count]) => ({ folder, count })).sort((a, b) => Number(!a.folder) - Number(!b.folder) || a.folder.localeCompare(b.folder, 'zh-Hans-CN'))
}
export const within = (folder: string, chosen: string): boolean => folder === chosen || (chosen !== '' && folder.startsWith(`${chosen}/`))
