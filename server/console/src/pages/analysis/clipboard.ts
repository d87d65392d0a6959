/** Copies a text; over plain HTTP browsers have no clipboard API, so by a selection there. */
export async function toClipboard(text: string): Promise<void> {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  area.setAttribute('readonly', '')
  area.className = 'hidden-text'
  document.body.appendChild(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}
