/**
 * A board and what its cards ask, on their way before anything of its page is drawn: drawing the
 * frame and a dozen empty cards keeps the browser busy for as long as the server needs to count.
 */
import type { LocationQuery, RouteLocationNormalized } from 'vue-router'

import { ask } from '@/api/ask'
import type { Answer, FilterDoc, QueryDoc } from '@/api/types'
import { cleanFilter } from '@/query/audience'
import { session, zone } from '@/shell/session'

import type { Saved } from '../saved/saved'
import { asFigure, under } from './asking'
import { opened, type Board, type Card, type Shared } from './boards'
import { isFresh, keyOf as queryKey, known } from './known'
import { inOrder } from './layout'

/** A page waits for its board so long, ms; then it is drawn without, and the board comes when it can. */
const WAIT_MS = 400

/** What a reader chose for himself stands in the address; else what is kept with the board. */
export function timeOf(query: LocationQuery, kept: Shared | null): Shared | null {
  const { from, to, own } = query
  if (own) return null
  return typeof from === 'string' && typeof to === 'string' ? { from, to } : kept
}
export function whereOf(query: LocationQuery, kept: FilterDoc | null): FilterDoc | null {
  const text = query.where
  if (typeof text !== 'string') return kept
  try {
    return text ? (JSON.parse(text) as FilterDoc) : null
  } catch {
    return null
  }
}

/** What a card asks; null for one that asks nothing. */
export function queryOf(card: Card, saved: Saved | undefined, time: Shared | null, where: FilterDoc | null): QueryDoc | null {
  const own = (card.saved ? saved?.query : card.query) ?? null
  if (!own || card.kind === 'text') return null
  const query = under(own, time, cleanFilter(where as Record<string, unknown> | null) as FilterDoc | null)
  return card.kind === 'figure' ? asFigure(query, zone.value) : query
}

const boards = new Map<string, Promise<Board>>()
const answers = new Map<string, Promise<Answer>>()
const placeOf = (id: string): string => `${session.project} ${id}`

/** Begins; to be called when the session is known. */
export async function prepare(to: RouteLocationNormalized): Promise<void> {
  const id = String(to.query.id ?? '')
  if (!id) return
  boards.clear()
  answers.clear()
  const board = opened(id)
  boards.set(placeOf(id), board)
  const asked = board.then((found) => {
    for (const card of inOrder(found.cards)) {
      const query = queryOf(card, card.saved ? found.saved?.[card.saved] : undefined, timeOf(to.query, found.time), whereOf(to.query, found.where))
      if (!query || isFresh(known.get(queryKey(query)))) continue
      const answer = ask(query)
      answer.catch(() => undefined) // whoever takes it is told
      answers.set(queryKey(query), answer)
    }
  }).catch(() => undefined)
  await Promise.race([asked, new Promise((done) => setTimeout(done, WAIT_MS))])
}

/** The board that was prepared; once. */
export function prepared(id: string): Promise<Board> | undefined {
  const found = boards.get(placeOf(id))
  boards.delete(placeOf(id))
  return found
}
/** The answer that is on its way; once. */
export function preparedAnswer(query: QueryDoc): Promise<Answer> | undefined {
  const key = queryKey(query)
  const found = answers.get(key)
  answers.delete(key)
  return found
}
