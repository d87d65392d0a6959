/**
 * The state of an analysis page: the query as it is edited, its view, its answer, and how to go back.
 * Asks 250 ms after the last change; a newer question ends the older one.
 */
import { computed, onBeforeUnmount, reactive, ref, shallowRef, toRaw, watch } from 'vue'

import { ask } from '@/api/ask'
import { isAbort, Problem } from '@/api/problems'
import type { Answer, Model, QueryDoc, TimeDoc } from '@/api/types'
import { catalogue, dataIsOld, dateIn, dateMoved } from '@/query/catalogue'
import { clean } from '@/query/clean'
import { session, zone } from '@/shell/session'

import { complemented } from './defaults'
import type { Kit, View } from './kit'
import type { Kept } from './link'

export const DELAY_MS = 250
/** Steps that can be undone. */
const DEPTH = 100

/** What was last looked at, for coming back and for the range of the next model. */
const last = new Map<string, Kept>()
let lastTime: TimeDoc | undefined
const place = (model: Model) => `${session.project}:${model}`

export const copy = <T>(value: T): T => JSON.parse(JSON.stringify(toRaw(value))) as T

/** The last 30 days; of a project to which nothing has come lately, the last 30 of its data. */
export function usualRange(): TimeDoc {
  if (!dataIsOld()) return { from: '-30d', to: 'today' }
  const end = dateIn(catalogue.newest!, zone.value)
  return { from: dateMoved(end, -29), to: end }
}

/** A query to begin a model with. */
export function beginning(kit: Kit): QueryDoc {
  const event = catalogue.events.find((one) => !one.deprecated && !one.virtual)?.name ?? ''
  const { from, to } = lastTime ?? usualRange()
  return { model: kit.model, time: { from, to, grain: kit.grain ?? 'day' }, where: null, audience: null, by: [], compare: null, body: kit.body(event) }
}

export function useDesk(kit: Kit) {
  const kept = last.get(place(kit.model))
  const state = reactive({
    doc: kept ? copy(kept.query) : beginning(kit),
    view: (kept ? copy(kept.view) : {}) as View,
    /** The query of the answer, as it was asked. */
    asked: null as QueryDoc | null,
    running: false,
    progress: 0,
    waited: 0,
    problem: null as unknown,
  })
  const answer = shallowRef<Answer | null>(null)
  const missing = computed(() => kit.missing(clean(state.doc)))
  const past = ref<string[]>([])
  const future = ref<string[]>([])
  let now = JSON.stringify(state.doc)
  let asked = ''
  let timer: ReturnType<typeof setTimeout> | undefined
  let stop: AbortController | undefined
  let clock: ReturnType<typeof setInterval> | undefined

  watch(() => JSON.stringify(state.doc), (text) => {
    if (text === now) return
    past.value = [...past.value.slice(1 - DEPTH), now]
    future.value = []
    now = text
    later()
  })
  watch(() => JSON.stringify(state.view), keep)

  function keep(): void {
    last.set(place(kit.model), { query: copy(state.doc), view: copy(state.view) })
    if (state.doc.time?.from) lastTime = { from: state.doc.time.from, to: state.doc.time.to }
  }
  function later(): void {
    keep()
    clearTimeout(timer)
    timer = setTimeout(() => void run(), DELAY_MS)
  }

  /** Asks now. `again`: also when nothing changed. */
  async function run(again = false): Promise<void> {
    clearTimeout(timer)
    if (missing.value) {
      stop?.abort()
      state.running = false
      asked = ''
      return
    }
    const query = clean(state.doc)
    const text = JSON.stringify(query)
    if (text === asked && !again) return
    asked = text
    stop?.abort()
    const mine = new AbortController()
    stop = mine
    const began = performance.now()
    state.running = true
    state.progress = 0
    state.waited = 0
    clearInterval(clock)
    clock = setInterval(() => (state.waited = performance.now() - began), 100)
    try {
      const found = await ask(query, { signal: mine.signal, progress: (share) => { if (!mine.signal.aborted) state.progress = Math.max(state.progress, share) } })
      if (mine.signal.aborted) return
      answer.value = found
      state.asked = query
      state.problem = null
    } catch (error) {
      if (mine.signal.aborted || isAbort(error)) return
      state.problem = error
      asked = ''
      if (!(error instanceof Problem)) throw error
    } finally {
      if (stop === mine) {
        state.running = false
        state.waited = performance.now() - began
        clearInterval(clock)
      }
    }
  }
  function cancel(): void {
    stop?.abort()
    clearInterval(clock)
    state.running = false
    asked = ''
  }
  function jump(from: typeof past, to: typeof past): void {
    const text = from.value[from.value.length - 1]
    if (text === undefined) return
    from.value = from.value.slice(0, -1)
    to.value = [...to.value, now]
    now = text
    state.doc = JSON.parse(text) as QueryDoc
    later()
  }
  /** Puts another query in place; it can be undone. */
  function open({ query, view }: Kept): void {
    state.doc = complemented({ ...copy(query), model: kit.model })
    state.view = copy(view)
    void run()
  }
  onBeforeUnmount(() => {
    stop?.abort()
    clearTimeout(timer)
    clearInterval(clock)
  })

  return {
    state, answer, missing, run, cancel, open,
    undo: () => jump(past, future), redo: () => jump(future, past),
    canUndo: computed(() => past.value.length > 0), canRedo: computed(() => future.value.length > 0),
    reset: () => { state.doc = beginning(kit); state.view = {} },
  }
}
