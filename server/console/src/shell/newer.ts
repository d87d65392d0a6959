/**
 * Whether the server has another version of the console than the one that runs in this page. The
 * files of an older version go with it, so a page that was not opened yet cannot be loaded then.
 */
import { ref } from 'vue'

export const newer = ref(false)

/** Looks whether the entry page still names the script that runs here; false when it cannot be asked. */
async function changed(): Promise<boolean> {
  try {
    const response = await fetch('/', { headers: { accept: 'text/html' }, cache: 'no-store' })
    return response.ok && !(await response.text()).includes(new URL(import.meta.url).pathname)
  } catch {
    return false
  }
}

/** Looks when a file of the console cannot be loaded. */
export function watchVersion(): void {
  window.addEventListener('vite:preloadError', () => {
    void changed().then((is) => { newer.value ||= is })
  })
}
