/** What a list is narrowed to and sorted by: words, a choice of one field, a column. */
import { computed, ref, type ComputedRef, type Ref } from 'vue'

import { matching, sorted, type Sorting } from './sorting'

export interface Listing<T> {
  text: Ref<string>
  /** '' for all. */
  choice: Ref<string>
  sorting: Ref<Sorting>
  rows: ComputedRef<T[]>
  /** Whether something narrows the list. */
  narrowed: ComputedRef<boolean>
  clear: () => void
}

/** `fields` are searched; `of` is the field that `choice` is about. */
export function listing<T>(all: () => readonly T[] | undefined, how: { fields: (keyof T)[]; of?: keyof T; sorting: Sorting }): Listing<T> {
  const text = ref('')
  const choice = ref('')
  const sorting = ref<Sorting>({ ...how.sorting })
  const rows = computed(() => {
    const some = matching(all() ?? [], text.value, how.fields)
    return sorted(choice.value && how.of ? some.filter((one) => one[how.of!] === choice.value) : some, sorting.value)
  })
  const narrowed = computed(() => text.value.trim() !== '' || choice.value !== '')
  return { text, choice, sorting, rows, narrowed, clear: () => { text.value = ''; choice.value = '' } }
}
