/** Small CSV: the names in a file's first line, and ids made a file. */

/** Names of the first line. The mark of byte order goes; quotes may hold commas. */
export function columnsOf(text: string): string[] {
  const line = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/, 1)[0] ?? ''
  const names: string[] = []
  let cell = ''
  let quoted = false
  for (let k = 0; k < line.length; k++) {
    const c = line[k]!
    if (quoted && c === '"' && line[k + 1] === '"') {
      cell += '"'
      k++
    } else if (c === '"') quoted = !quoted
    else if (c === ',' && !quoted) {
      names.push(cell)
      cell = ''
    } else cell += c
  }
  return [...names, cell].map((name) => name.trim()).filter(Boolean)
}

/** A file of one column. */
export function csvOfLines(name: string, lines: string[]): Blob {
  const cell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text)
  return new Blob([[name, ...lines].map(cell).join('\n') + '\n'], { type: 'text/csv' })
}
