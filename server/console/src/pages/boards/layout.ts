/**
 * The grid of a board: 12 columns, cards that never overlap and rise as far as they can. A move or a
 * new size gives a new layout; what is in the way goes below. Pure; O(n²) of a few dozen cards.
 */
import type { Place } from './boards'

export const COLUMNS = 12
/** Height of a row and space between cards, px. */
export const ROW = 60
export const GAP = 12
export const LEAST = { w: 2, h: 1 }

const clamp = (n: number, low: number, high: number) => Math.max(low, Math.min(high, n))

export function overlap(a: Place, b: Place): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

/** A place within the grid. */
export function fitted<T extends Place>(card: T): T {
  const w = clamp(Math.round(card.w), LEAST.w, COLUMNS)
  return { ...card, w, h: Math.max(1, Math.round(card.h)), x: clamp(Math.round(card.x), 0, COLUMNS - w), y: Math.max(0, Math.round(card.y)) }
}

/** As they are read: from top to bottom, from left to right. */
export function inOrder<T extends Place>(cards: readonly T[]): T[] {
  return [...cards].sort((a, b) => a.y - b.y || a.x - b.x)
}

/** Each card, in this order, as high as it can be. Keeps the order of the given list. */
function risen<T extends Place>(cards: readonly T[], order: readonly T[]): T[] {
  const placed: Place[] = []
  const at = new Map<string, number>()
  for (const card of order) {
    // Where it stops: the lowest edge of what lies above it in its columns.
    let y = 0
    for (const other of placed) {
      if (other.x < card.x + card.w && card.x < other.x + other.w) y = Math.max(y, other.y + other.h)
    }
    at.set(card.id, y)
    placed.push({ ...card, y })
  }
  return cards.map((card) => ({ ...card, y: at.get(card.id)! }))
}

/** Without holes and overlaps. */
export function packed<T extends Place>(cards: readonly T[]): T[] {
  const all = cards.map(fitted)
  return risen(all, inOrder(all))
}

/** The layout after a card is dragged to a place. It passes another when it is half-way past it. */
export function moved<T extends Place>(cards: readonly T[], id: string, x: number, y: number): T[] {
  const before = cards.find((one) => one.id === id)
  if (!before) return [...cards]
  const now = fitted({ ...before, x, y })
  const down = now.y > before.y
  const key = (one: T) => (one.id === id ? (down ? now.y + now.h : now.y) : one.y + one.h / 2)
  const all = cards.map((one) => (one.id === id ? now : one))
  const order = [...all].sort((a, b) => key(a) - key(b) || (a.id === id ? -1 : b.id === id ? 1 : a.x - b.x))
  return risen(all, order)
}

/** The layout after a card got another size. */
export function sized<T extends Place>(cards: readonly T[], id: string, w: number, h: number): T[] {
  const all = cards.map((one) =>
    one.id === id ? { ...one, w: clamp(Math.round(w), LEAST.w, COLUMNS - one.x), h: Math.max(LEAST.h, Math.round(h)) } : one,
  )
  return risen(all, inOrder(all))
}

/** A new card below all others, or in the room that the last row has left. */
export function added<T extends Place>(cards: readonly T[], card: T): T[] {
  const bottom = cards.reduce((most, one) => Math.max(most, one.y + one.h), 0)
  for (let y = 0; y <= bottom; y++) {
    for (let x = 0; x + card.w <= COLUMNS; x++) {
      const here = { ...card, x, y }
      if (!cards.some((one) => overlap(one, here))) return packed([...cards, here])
    }
  }
  return packed([...cards, { ...card, x: 0, y: bottom }])
}

/** Pixels of a card's height. */
export const height = (h: number): number => h * ROW + (h - 1) * GAP
