/** Copies a text; also where the page has no clipboard (plain HTTP on an intranet). */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const area = document.createElement('textarea')
    area.value = text
    area.setAttribute('readonly', '')
    area.className = 'hidden-text'
    // Beside what has the focus: a dialog does not let go of it.
    const at = document.activeElement?.parentElement ?? document.body
    at.appendChild(area)
    area.select()
    const done = document.execCommand('copy')
    area.remove()
    return done
  }
}
