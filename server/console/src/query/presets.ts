/** Ranges to choose by a click, and how a range is told. */
import { dateIn, dateMoved } from './catalogue'

export interface Range {
  from: string
  to: string
}
export interface Preset {
  key: string
  range: Range
}

const LAST = [7, 14, 30, 90, 180]

/** Relative ones first, then those of the calendar, which are dates. */
export function presets(zone: string, now = Date.now()): Preset[] {
  const today = dateIn(now, zone)
  const weekday = (new Date(`${today}T00:00:00Z`).getUTCDay() + 6) % 7
  const monday = dateMoved(today, -weekday)
  const first = `${today.slice(0, 7)}-01`
  const lastOfBefore = dateMoved(first, -1)
  return [
    { key: 'today', range: { from: 'today', to: 'today' } },
    { key: 'yesterday', range: { from: 'yesterday', to: 'yesterday' } },
    ...LAST.map((n) => ({ key: `last${n}`, range: { from: `-${n}d`, to: 'yesterday' } })),
    { key: 'last30today', range: { from: '-29d', to: 'today' } },
    { key: 'thisWeek', range: { from: monday, to: 'today' } },
    { key: 'lastWeek', range: { from: dateMoved(monday, -7), to: dateMoved(monday, -1) } },
    { key: 'thisMonth', range: { from: first, to: 'today' } },
    { key: 'lastMonth', range: { from: `${lastOfBefore.slice(0, 7)}-01`, to: lastOfBefore } },
    { key: 'lastYear', range: { from: '-1y', to: 'yesterday' } },
  ]
}

/** The local dates that a range means now; null for one that is not of dates. */
export function resolved(range: { from?: string; to?: string }, zone: string, now = Date.now()): Range | null {
  const today = dateIn(now, zone)
  const one = (text: string): string | null => {
    if (/^\d{4}-\d\d-\d\d$/.test(text)) return text
    if (text === 'today' || text === 'now') return today
    if (text === 'yesterday') return dateMoved(today, -1)
    const match = /^-(\d+)([dwMqy])$/.exec(text)
    if (!match) return /^\d{4}-\d\d-\d\dT/.test(text) ? text.slice(0, 10) : null
    const n = Number(match[1])
    if (match[2] === 'd') return dateMoved(today, -n)
    if (match[2] === 'w') return dateMoved(today, -7 * n)
    const months = n * (match[2] === 'M' ? 1 : match[2] === 'q' ? 3 : 12)
    const [y, m, d] = today.split('-').map(Number) as [number, number, number]
    const index = y * 12 + (m - 1) - months
    const last = new Date(Date.UTC(Math.floor(index / 12), (index % 12) + 1, 0)).getUTCDate()
    return `${Math.floor(index / 12)}-${String((index % 12) + 1).padStart(2, '0')}-${String(Math.min(d, last)).padStart(2, '0')}`
  }
  const from = one(range.from ?? '-30d')
  const to = one(range.to ?? 'today')
  return from && to ? { from, to } : null
}

/** Days of a range, both ends included. */
export function daysOf(range: Range): number {
  return Math.round((Date.parse(`${range.to}T00:00:00Z`) - Date.parse(`${range.from}T00:00:00Z`)) / 86_400_000) + 1
}
