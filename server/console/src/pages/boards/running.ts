/**
 * The answers of a board's cards: asked side by side, at most four at a time (as many as the server
 * runs at once), top cards first. The old picture stays while the next is on its way; answers of the
 * last boards are kept, so that coming back draws at once.
 */
import { onBeforeUnmount, reactive, shallowReactive } from 'vue'

import { ask } from '@/api/ask'
import { inWords, isAbort } from '@/api/problems'
import type { Answer, QueryDoc } from '@/api/types'
import { session } from '@/shell/session'

export const AT_ONCE = 4
const KEPT = 120
/** What was asked so short a time ago is not asked again when somebody comes back, ms. */
const FRESH_MS = 20_000

interface Known {
  answer: Answer
  /** When it was asked, ms. */
  at: number
}
const known = new Map<string, Known>()

function remember(key: string, one: Known): void {
  known.delete(key)
  known.set(key, one)
  if (known.size > KEPT) known.delete(known.keys().next().value!)
}

/** Whether two answers say the same, whatever it took to find them. */
export function same(a: Answer | null, b: Answer): boolean {
  return a !== null && JSON.stringify([a.columns, a.rows, a.totals]) === JSON.stringify([b.columns, b.rows, b.totals])
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
  const keyOf = (query: QueryDoc) => `${session.project} ${JSON.stringify(query)}`

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
    if (old && !again && Date.now() - old.at < FRESH_MS) {
      runs.set(id, shallowReactive({ query, answer: old.answer, busy: false, failure: '', at: old.at }))
      return
    }
    runs.set(id, shallowReactive({ query, answer: old?.answer ?? before?.answer ?? null, busy: true, failure: '', at: old?.at ?? before?.at ?? 0 }))
    const state = runs.get(id)!
    queue.put(async () => {
      if (mine.signal.aborted) return
      try {
        const answer = await ask(query, { signal: mine.signal })
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
