/** Moments and days as people read them, in the project's zone and the page's language. */
import { locale } from '@/i18n'
import { zone } from '@/shell/session'

/** `2026-10-01 08:00`; an empty text of nothing. */
export function moment(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return ''
  return new Intl.DateTimeFormat(locale(), {
    timeZone: zone.value, year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
  }).format(ms)
}

/** Time of day alone, with seconds. */
export function clock(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return ''
  return new Intl.DateTimeFormat(locale(), { timeZone: zone.value, hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }).format(ms)
}

/** A count with separators; a dash of nothing. */
export function count(n: number | null | undefined): string {
  return n === null || n === undefined ? '–' : new Intl.NumberFormat(locale()).format(n)
}

/** `0.123` → `12.3%`. */
export function share(part: number | null | undefined): string {
  if (part === null || part === undefined || !Number.isFinite(part)) return '–'
  return new Intl.NumberFormat(locale(), { style: 'percent', maximumFractionDigits: 1 }).format(part)
}
