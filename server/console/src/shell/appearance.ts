/** Light, dark, or as the system has it; kept in this browser. */
import { computed, ref, watch } from 'vue'

export type Appearance = 'system' | 'light' | 'dark'
const KEY = 'zuji.appearance'

export const appearance = ref<Appearance>('system')
const system = window.matchMedia?.('(prefers-color-scheme: dark)')
const systemDark = ref(system?.matches ?? false)

export const dark = computed(
  () => appearance.value === 'dark' || (appearance.value === 'system' && systemDark.value),
)

export function startAppearance(): void {
  const kept = localStorage.getItem(KEY)
  if (kept === 'light' || kept === 'dark') appearance.value = kept
  system?.addEventListener('change', (event) => (systemDark.value = event.matches))
  watch(dark, (on) => document.documentElement.classList.toggle('dark', on), { immediate: true })
  watch(appearance, (chosen) => localStorage.setItem(KEY, chosen))
}
