/** Rows of a list, sorted by a column and found by words. */

export interface Sorting {
  by: string
  down: boolean
}

/** Sorted by the field; rows without it come last. Stable. */
export function sorted<T>(rows: readonly T[], { by, down }: Sorting): T[] {
  const of = (row: T) => (row as Record<string, unknown>)[by]
  return [...rows].sort((a, b) => {
    const x = of(a)
    const y = of(b)
    if (x === y) return 0
    if (x === null || x === undefined || x === '') return 1
    if (y === null || y === undefined || y === '') return -1
    const order = typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y), 'zh-Hans-CN')
    return down ? -order : order
  })
}

/** Rows whose fields have all words of the text. */
export function matching<T>(rows: readonly T[], text: string, fields: (keyof T)[]): T[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  if (!words.length) return [...rows]
  return rows.filter((row) => {
    const all = fields.map((field) => String(row[field] ?? '').toLowerCase()).join('\n')
    return words.every((word) => all.includes(word))
  })
}
