/**
 * The answers of a board's cards: asked side by side, top cards first. The browser sends a few at a
 * time and the rest as answers come, which goes on while the page is busy with drawing; so they are
 * given to it together. When the server has too much to do, a card waits and asks again. The old
 * picture stays while the next is on its way; answers of the last boards are kept, so that coming
 * back draws at once.
 */
import { onBeforeUnmount, reactive, shallowReactive } from 'vue'

import { ask } from '@/api/ask'
import { inWords, isAbort, Problem } from '@/api/problems'
import type { Answer, QueryDoc } from '@/api/types'

import { isFresh, keyOf, known, remember } from './known'
import { preparedAnswer } from './opening'

export const AT_ONCE = 24
/** How often a card asks again when the server is busy, and how long it waits before, ms. */
const TRIES = 4
const BUSY_MS = 1500

/** Whether two answers say the same, whatever it took to find them. */
export function same(a: Answer | null, b: Answer): boolean {
  return a !== null && JSON.stringify([a.columns, a.rows, a.totals]) === JSON.stringify([b.columns, b.rows, b.totals])
}

/** Asks, or takes what is on its way; and asks again after a while when the server is busy. */
async function patiently(query: QueryDoc, signal: AbortSignal, again: boolean): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    try {
      return await ((tries === 1 && !again ? preparedAnswer(query) : undefined) ?? ask(query, { signal }))
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'overloaded') || tries === TRIES || signal.aborted) throw error
      await new Promise((done) => setTimeout(done, BUSY_MS * tries * (0.5 + Math.random())))
    }
  }
}

export interface Run {
  query: QueryDoc | null
  answer: Answer | null
  busy: boolean
  failure: string
  at: number
}

/** Runs tasks, at most `most` at once, in their order. Those of an older generation do not begin. */
export class Queue {
  private waiting: (() => Promise<void>)[] = []
  private running = 0

  constructor(private readonly most: number) {}

  put(task: () => Promise<void>): void {
    this.waiting.push(task)
    this.next()
  }
  clear(): void {
    this.waiting = []
  }
  private next(): void {
    while (this.running < this.most) {
      const task = this.waiting.shift()
      if (!task) return
      this.running++
      void task().finally(() => {
        this.running--
        this.next()
      })
    }
  }
}

export function useRuns() {
  const runs = reactive(new Map<string, Run>())
  const queue = new Queue(AT_ONCE)
  const stops = new Map<string, AbortController>()

  /** Asks these, by card. `again`: also what is unchanged. Cards that are not named are forgotten. */
  function run(wanted: [id: string, query: QueryDoc][], again = false): void {
    const ids = new Set(wanted.map(([id]) => id))
    for (const id of [...runs.keys()]) if (!ids.has(id)) drop(id)
    for (const [id, query] of wanted) one(id, query, again)
  }
  function one(id: string, query: QueryDoc, again = false): void {
    const before = runs.get(id)
    const key = keyOf(query)
    if (before?.query && keyOf(before.query) === key && !again && (before.busy || before.answer)) return
    stops.get(id)?.abort()
    const mine = new AbortController()
    stops.set(id, mine)
    const old = known.get(key)
    if (old && !again && isFresh(old)) {
      runs.set(id, shallowReactive({ query, answer: old.answer, busy: false, failure: '', at: old.at }))
      return
    }
    runs.set(id, shallowReactive({ query, answer: old?.answer ?? before?.answer ?? null, busy: true, failure: '', at: old?.at ?? before?.at ?? 0 }))
    const state = runs.get(id)!
    queue.put(async () => {
      if (mine.signal.aborted) return
      try {
        const answer = await patiently(query, mine.signal, again)
        if (mine.signal.aborted) return
        // An equal answer stays the object that is drawn: nothing is drawn anew.
        if (!same(state.answer, answer)) state.answer = answer
        state.at = Date.now()
        state.failure = ''
        remember(key, { answer: state.answer!, at: state.at })
      } catch (error) {
        if (mine.signal.aborted || isAbort(error)) return
        state.failure = inWords(error)
      } finally {
        if (stops.get(id) === mine) state.busy = false
      }
    })
  }
  function drop(id: string): void {
    stops.get(id)?.abort()
    stops.delete(id)
    runs.delete(id)
  }
  onBeforeUnmount(() => {
    queue.clear()
    for (const stop of stops.values()) stop.abort()
  })
  return { runs, run, one }
}
