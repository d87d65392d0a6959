/** What a form sends: whether it is on its way, and why it failed. */
import { ref, type Ref } from 'vue'

import { inWords } from '@/api/problems'

export interface Sending {
  busy: Ref<boolean>
  /** In words; empty until something failed, and again when the next is sent. */
  failure: Ref<string>
  /** Does the work; its failure is told, not thrown. */
  send: (work: () => Promise<void>) => Promise<void>
}

export function sending(): Sending {
  const busy = ref(false)
  const failure = ref('')

  async function send(work: () => Promise<void>): Promise<void> {
    busy.value = true
    failure.value = ''
    try {
      await work()
    } catch (error) {
      failure.value = inWords(error)
    } finally {
      busy.value = false
    }
  }
  return { busy, failure, send }
}
