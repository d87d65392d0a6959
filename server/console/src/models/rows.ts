/** Reading answers: rows by names, groups of breakdowns, and the pick of a cell. */
import type { Answer, Cell, Pick, QueryDoc, Row } from '@/api/types'
import { i18n } from '@/i18n'
import { plain, shown } from '@/charts/numbers'
import { isNumber, labelOf } from '@/query/catalogue'

export function rowsOf(answer: Answer): Row[] {
  const names = answer.columns.map((one) => one.name)
  return answer.rows.map((row) => Object.fromEntries(names.map((name, k) => [name, row[k] as Cell])))
}
/** Rows of `totals`, which have columns of their own. */
export function totalsOf(answer: Answer, part: Record<string, unknown> = answer.totals): Row[] {
  const names = part.columns as string[] | undefined
  const rows = part.rows as Cell[][] | undefined
  if (!names || !rows) return []
  return rows.map((row) => Object.fromEntries(names.map((name, k) => [name, row[k] as Cell])))
}

export const byOf = (query: QueryDoc): string[] => (query.by ?? []).map((one) => one.p)

/** What people read as the group of a row: values of its breakdowns. '' without any. */
export function groupName(row: Row, by: string[]): string {
  const { t } = i18n.global
  if (!by.length) return ''
  if (row.is_other === true) return t('charts.other')
  return by.map((p) => valueName(row[p] ?? null, p)).join(' · ')
}
export function valueName(value: Cell, p: string): string {
  const { t } = i18n.global
  if (value === null) return t('charts.noValue')
  if (typeof value === 'boolean' && p.startsWith('user.$cohort.')) return value ? labelOf(p) : t('analysis.notIn', { what: labelOf(p) })
  return typeof value === 'string' && isNumber(p) ? rangeText(value) : shown(value, 'text')
}

/** A bucket, `[30, 60)`, as people read it; other texts as they are. `tell`: how a number is told. */
export function rangeText(text: string, tell: (n: number) => string = plain): string {
  const match = /^[[(](-∞|-?[\d.eE+-]+), (∞|-?[\d.eE+-]+)[)\]]$/.exec(text)
  if (!match) return text
  const [, low, high] = match as unknown as [string, string, string]
  if (low === '-∞') return high === '∞' ? text : `< ${tell(Number(high))}`
  return high === '∞' ? `≥ ${tell(Number(low))}` : `${tell(Number(low))} – ${tell(Number(high))}`
}

/** What a pick has whatever the model: group and range. */
export function groupPick(row: Row, query: QueryDoc): Pick {
  const pick: Pick = {}
  const by = byOf(query)
  if (by.length) {
    if (row.is_other === true) pick.is_other = true
    else pick.by = Object.fromEntries(by.map((p) => [p, row[p] ?? null]))
  }
  if (typeof row.range === 'string' && row.range !== 'current') pick.range = row.range
  return pick
}

/** Of the range column: '' for the current one. */
export function rangeName(row: Row): string {
  const range = row.range
  return typeof range === 'string' && range !== 'current' ? i18n.global.t(`charts.${range}`) : ''
}

/** The distinct values of a key, in the order of the rows. */
export function distinct<T>(values: T[]): T[] {
  return [...new Set(values)]
}

/** Joins what is there: "A · 杭州 (对比期)". */
export function nameOf(...parts: string[]): string {
  return parts.filter(Boolean).join(' · ')
}

/** One series of values for every combination of `keys`, over `categories`, in the order of rows. */
export function pivot(rows: Row[], key: (row: Row) => string, category: (row: Row) => string, value: (row: Row) => number | null): { name: string; values: (number | null)[]; rows: (Row | undefined)[] }[] {
  const categories = distinct(rows.map(category))
  const place = new Map(categories.map((name, k) => [name, k]))
  const series = new Map<string, { name: string; values: (number | null)[]; rows: (Row | undefined)[] }>()
  for (const row of rows) {
    const name = key(row)
    let one = series.get(name)
    if (!one) {
      one = { name, values: Array<number | null>(categories.length).fill(null), rows: Array<Row | undefined>(categories.length).fill(undefined) }
      series.set(name, one)
    }
    const k = place.get(category(row))!
    one.values[k] = value(row)
    one.rows[k] = row
  }
  return [...series.values()]
}

/** A number or null of a cell. */
export function num(cell: Cell | undefined): number | null {
  return typeof cell === 'number' ? cell : null
}
