/** Numbers, times and dates as people read them, in the language of the page. */
import { i18n, locale } from '@/i18n'

const formats = new Map<string, Intl.NumberFormat>()

function format(key: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const name = `${locale()} ${key}`
  let made = formats.get(name)
  if (!made) formats.set(name, (made = new Intl.NumberFormat(locale(), options)))
  return made
}

/** 1,234,567 or 12.35 */
export function plain(value: number): string {
  const digits = Number.isInteger(value) ? 0 : Math.abs(value) < 10 ? 4 : 2
  return format(`plain${digits}`, { maximumFractionDigits: digits }).format(value)
}
/** 123万, 1.2M: for axes and hints. */
export function compact(value: number): string {
  if (Math.abs(value) < 10_000) return plain(value)
  return format('compact', { notation: 'compact', maximumFractionDigits: 1 }).format(value)
}
/** 0.1234 → 12.34% */
export function percent(value: number, digits = 2): string {
  return format(`percent${digits}`, { style: 'percent', maximumFractionDigits: digits }).format(value)
}
const LONG: [string, number][] = [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1000]]

/** Milliseconds as the two greatest units: "2 天 3 小时". */
export function duration(ms: number): string {
  const { t } = i18n.global
  const sign = ms < 0 ? '−' : ''
  const given = Math.abs(ms)
  if (given < 1000) return `${sign}${t('charts.ms', { n: plain(Math.round(given)) })}`
  const unitOfSize = (size: number) => LONG.findIndex(([, most]) => size >= most)
  // Rounded first: 59 m 59.9 s are an hour, not 60 minutes.
  const step = LONG[unitOfSize(given) + 1]?.[1] ?? 100
  const rest = Math.round(given / step) * step
  const k = unitOfSize(rest)
  const [unit, size] = LONG[k]!
  const whole = Math.floor(rest / size)
  const below = LONG[k + 1]
  if (!below) return `${sign}${t(`charts.${unit}`, { n: rest % 1000 ? (rest / 1000).toFixed(1) : whole })}`
  const part = Math.round((rest - whole * size) / below[1])
  const first = t(`charts.${unit}`, { n: whole })
  return part ? `${sign}${first} ${t(`charts.${below[0]}`, { n: part })}` : `${sign}${first}`
}

/** What a value is, by its column: what it is formatted as. */
export type Unit = 'number' | 'ratio' | 'ms' | 'text'

export function unitOf(column: { name: string; type: string; unit: string | null }): Unit {
  if (column.unit === 'ratio') return 'ratio'
  if (column.unit === 'ms') return 'ms'
  return /int|float|double/.test(column.type) ? 'number' : 'text'
}

export function shown(value: unknown, unit: Unit): string {
  const { t } = i18n.global
  if (value === null || value === undefined) return '–'
  if (typeof value === 'boolean') return t(value ? 'query.yes' : 'query.no')
  if (typeof value === 'number') {
    if (unit === 'ratio') return percent(value)
    if (unit === 'ms') return duration(value)
    return unit === 'text' ? String(value) : plain(value)
  }
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

const WEEKDAY = new Map<string, Intl.DateTimeFormat>()

/** A bucket's label: 2026-10-01 (四); 10-01 13:00; as they are otherwise. */
export function bucketLabel(label: unknown, grain = 'day'): string {
  const text = String(label ?? '–')
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d:\d\d))?/.exec(text)
  if (!match) return text
  const [, y, m, d, time] = match
  if (time) return `${m}-${d} ${time}`
  if (grain === 'month') return `${y}-${m}`
  if (grain === 'quarter') return `${y} Q${Math.ceil(Number(m) / 3)}`
  if (grain === 'year') return y!
  if (grain !== 'day') return `${y}-${m}-${d}`
  let days = WEEKDAY.get(locale())
  if (!days) WEEKDAY.set(locale(), (days = new Intl.DateTimeFormat(locale(), { weekday: 'short', timeZone: 'UTC' })))
  return `${y}-${m}-${d} ${days.format(new Date(`${y}-${m}-${d}T00:00:00Z`))}`
}

/** An instant of an answer (with its offset) as local date and time. */
export function instant(text: string): string {
  return text.replace('T', ' ').replace(/\.\d+/, '').replace(/(Z|[+-]\d\d:\d\d)$/, '').replace(/:00$/, '')
}
