/** A tooltip's content as elements: the page's policy forbids HTML strings with styles. */

export interface TipLine {
  colour?: string
  name: string
  value: string
}

export function tip(title: string, lines: TipLine[], hint = ''): HTMLElement {
  const box = document.createElement('div')
  box.className = 'tip'
  const add = (parent: HTMLElement, tag: string, name: string, text?: string): HTMLElement => {
    const made = document.createElement(tag)
    made.className = name
    if (text !== undefined) made.textContent = text
    parent.appendChild(made)
    return made
  }
  if (title) add(box, 'div', 'tip-title', title)
  for (const line of lines.slice(0, 16)) {
    const row = add(box, 'div', 'tip-line')
    const dot = add(row, 'span', 'tip-dot')
    if (line.colour) dot.style.background = line.colour
    add(row, 'span', 'tip-name', line.name)
    add(row, 'span', 'tip-value', line.value)
  }
  if (lines.length > 16) add(box, 'div', 'tip-more', `+${lines.length - 16}`)
  if (hint) add(box, 'div', 'tip-more', hint)
  return box
}
