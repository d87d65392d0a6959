/** Whether the window is a phone's: below 900 px the navigation is a drawer and panels stack. */
import { ref } from 'vue'

const query = window.matchMedia?.('(max-width: 899px)')
export const narrow = ref(query?.matches ?? false)
query?.addEventListener('change', (event) => (narrow.value = event.matches))
