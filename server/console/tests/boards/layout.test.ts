import { describe, expect, it } from 'vitest'

import type { Place } from '@/pages/boards/boards'
import { added, COLUMNS, moved, overlap, packed, sized } from '@/pages/boards/layout'

const card = (id: string, x: number, y: number, w: number, h: number): Place => ({ id, x, y, w, h })
const at = (cards: Place[], id: string) => cards.find((one) => one.id === id)!

function sound(cards: Place[]): void {
  for (const a of cards) {
    expect(a.x).toBeGreaterThanOrEqual(0)
    expect(a.x + a.w).toBeLessThanOrEqual(COLUMNS)
    for (const b of cards) if (a !== b) expect(overlap(a, b)).toBe(false)
    // Nothing could rise by a row.
    if (a.y > 0) expect(cards.some((b) => b !== a && overlap({ ...a, y: a.y - 1 }, b))).toBe(true)
  }
}

describe('a board', () => {
  const two = [card('a', 0, 0, 6, 4), card('b', 0, 4, 6, 4)]

  it('closes holes', () => {
    const cards = packed([card('a', 0, 3, 6, 4), card('b', 6, 9, 6, 4), card('c', 0, 20, 12, 2)])
    sound(cards)
    expect(cards.map((one) => one.y)).toEqual([0, 0, 4])
  })
  it('parts cards that lie on each other', () => {
    sound(packed([card('a', 0, 0, 8, 4), card('b', 4, 2, 8, 4), card('c', 0, 0, 12, 1)]))
  })
  it('keeps cards within its columns', () => {
    sound(packed([card('a', 11, 0, 6, 4), card('b', -3, 0, 40, 4)]))
  })
  it('lets a card pass another when half past it, and not before', () => {
    expect(at(moved(two, 'a', 0, 1), 'a').y).toBe(0)
    const after = moved(two, 'a', 0, 3)
    sound(after)
    expect([at(after, 'b').y, at(after, 'a').y]).toEqual([0, 4])
  })
  it('lets a card rise past another', () => {
    const after = moved(two, 'b', 0, 1)
    sound(after)
    expect([at(after, 'b').y, at(after, 'a').y]).toEqual([0, 4])
  })
  it('moves sideways into free room', () => {
    const after = moved(two, 'b', 6, 4)
    sound(after)
    expect(at(after, 'b')).toMatchObject({ x: 6, y: 0 })
  })
  it('pushes down what a larger card would cover', () => {
    const after = sized([card('a', 0, 0, 6, 4), card('b', 6, 0, 6, 4)], 'a', 9, 5)
    sound(after)
    expect(at(after, 'b').y).toBe(5)
  })
  it('does not grow past the last column', () => {
    expect(at(sized([card('a', 6, 0, 4, 4)], 'a', 40, 4), 'a').w).toBe(6)
  })
  it('puts a new card where there is room', () => {
    const after = added([card('a', 0, 0, 6, 4)], card('n', 0, 0, 6, 4))
    sound(after)
    expect(at(after, 'n')).toMatchObject({ x: 6, y: 0 })
  })
  it('stays sound whatever is done', () => {
    let seed = 7
    const random = (n: number) => (seed = (seed * 48271) % 2147483647) % n
    let cards = packed(Array.from({ length: 14 }, (_, k) => card(`c${k}`, random(12), random(30), 2 + random(10), 2 + random(6))))
    for (let k = 0; k < 300; k++) {
      const id = `c${random(14)}`
      cards = random(2) ? moved(cards, id, random(12), random(40)) : sized(cards, id, 2 + random(12), 2 + random(8))
      sound(cards)
    }
  })
})
