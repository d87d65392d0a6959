/** The API of boards and of the saved analyses that stand on them. */
import { del, get, post, put } from '@/api/client'
import type { FilterDoc, QueryDoc } from '@/api/types'
import type { View } from '@/models/kit'

import type { Saved } from '../saved/saved'

export interface Place {
  id: string
  x: number
  y: number
  w: number
  h: number
}
export interface Card extends Place {
  kind: 'analysis' | 'figure' | 'text'
  /** Id of a saved analysis; else `query` stands on the card itself. */
  saved?: string | null
  query?: QueryDoc | null
  view?: (View & { title?: string; column?: string; series?: string }) | null
  text?: string | null
  title?: string | null
}
export interface Shared {
  from?: string
  to?: string
}
export interface Board {
  id: string
  name: string
  folder: string
  time: Shared | null
  where: FilterDoc | null
  refresh_s: number
  cards: Card[]
  version: number
  /** The analyses that its cards show, by id. */
  saved?: Record<string, Saved>
}
export interface BoardEntry {
  id: string
  name: string
  folder: string
  owner?: { name: string } | string | null
  changed_ms?: number | null
  card_count?: number
}
export interface Template {
  name: string
  /** By language. */
  title: Record<string, string>
  description: Record<string, string>
}

const at = (id: string) => `/v1/boards/${encodeURIComponent(id)}`

export const listed = (signal?: AbortSignal) => get<{ boards: BoardEntry[] }>('/v1/boards', { signal }).then((got) => got.boards)
export const opened = (id: string, signal?: AbortSignal) => get<Board>(at(id), { signal })
export type Fresh = Omit<Board, 'id' | 'version' | 'saved'>
export const made = (board: Fresh) => post<Board>('/v1/boards', board)
export const kept = (board: Board) => {
  const { name, folder, time, where, refresh_s, cards, version } = board
  return put<Board>(at(board.id), { name, folder, time, where, refresh_s, cards, expected: version })
}
export const removed = (id: string) => del(at(id))
export const templates = (signal?: AbortSignal) => get<{ templates: Template[] }>('/v1/board-templates', { signal }).then((got) => got.templates)
export const fromTemplate = (name: string, language: string) => post<Board>(`/v1/board-templates/${encodeURIComponent(name)}`, { language })

/** A board with nothing on it. */
export function blank(name: string, folder = ''): Fresh {
  return { name, folder, time: null, where: null, refresh_s: 0, cards: [] }
}
export const newId = (): string => Math.random().toString(36).slice(2, 10)
