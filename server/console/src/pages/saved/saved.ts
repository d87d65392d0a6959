/** The API of saved analyses. Every change keeps a version. */
import { del, get, post, put } from '@/api/client'
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
  version: number
}
export interface SavedVersion {
  version: number
  name: string
  changed_ms: number
  changed_by: string
  query?: QueryDoc
  view?: View | null
}

const at = (id: string) => `/v1/saved/${encodeURIComponent(id)}`

export const listed = (signal?: AbortSignal) => get<{ saved: SavedEntry[] }>('/v1/saved', { query: { limit: 2000 }, signal }).then((got) => got.saved)
export const opened = (id: string, signal?: AbortSignal) => get<Saved>(at(id), { signal })
export const removed = (id: string) => del(at(id))
export const versions = (id: string, signal?: AbortSignal) => get<{ versions: SavedVersion[] }>(`${at(id)}/versions`, { signal }).then((got) => got.versions)
export const restored = (id: string, n: number) => post<Saved>(`${at(id)}/versions/${n}/restore`)

/** Changes some of it and keeps the rest as it is. */
export async function changed(id: string, change: Partial<Pick<Saved, 'name' | 'folder' | 'description'>>): Promise<void> {
  const { name, folder, description, query, view, version } = await opened(id)
  await put(at(id), { name, folder, description, query, view, expected: version, ...change })
}
export async function copied(id: string, name: string): Promise<void> {
  const { folder, description, query, view } = await opened(id)
  await post('/v1/saved', { name, folder, description, query, view })
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
