/** Sizes, lengths of time and values of events as people read them. */
import { locale } from '@/i18n'

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB']

/** `1.4 MB`, in powers of 1,000 as disks are sold. */
export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined) return '–'
  const k = n < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(n) / 3))
  const value = n / 1000 ** k
  return `${new Intl.NumberFormat(locale(), { maximumFractionDigits: k && value < 100 ? 1 : 0 }).format(value)} ${UNITS[k]}`
}

/** A value of a property in one line: texts as they are, lists by commas. */
export function valueText(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number') return new Intl.NumberFormat(locale(), { maximumFractionDigits: 6, useGrouping: false }).format(value)
  if (Array.isArray(value)) return value.map(valueText).join('、')
  return JSON.stringify(value)
}

/** `2026-10-01T09:20:00+08:00` → `2026-10-01`. */
export const dayOf = (instant: string): string => instant.slice(0, 10)

/** `2026-10-01T09:20:00.123+08:00` → `09:20:00`. */
export const clockOf = (instant: string): string => instant.slice(11, 19)
