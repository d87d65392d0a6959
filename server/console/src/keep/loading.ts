/** What a page loads: one request at a time, the last one counts, none outlives the page. */
import { onBeforeUnmount, ref, shallowRef, type Ref, type ShallowRef } from 'vue'

import { inWords, isAbort } from '@/api/problems'

export interface Loaded<T> {
  /** What came last; it stays while the next is on its way, and when that fails. */
  data: ShallowRef<T | undefined>
  busy: Ref<boolean>
  /** In words; empty when the last request went well. */
  failure: Ref<string>
  run: () => Promise<void>
}

export function loaded<T>(fetcher: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const data = shallowRef<T>()
  const busy = ref(false)
  const failure = ref('')
  let stop: AbortController | undefined

  async function run(): Promise<void> {
    stop?.abort()
    const mine = (stop = new AbortController())
    busy.value = true
    try {
      const got = await fetcher(mine.signal)
      if (mine.signal.aborted) return
      data.value = got
      failure.value = ''
    } catch (error) {
      if (mine.signal.aborted || isAbort(error)) return
      failure.value = inWords(error)
    } finally {
      if (stop === mine) busy.value = false
    }
  }
  onBeforeUnmount(() => stop?.abort())
  return { data, busy, failure, run }
}
