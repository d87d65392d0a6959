/** Local times that people type, and the instants (RFC 3339) that a query wants, in a zone. */

/** Minutes that a zone's clocks are ahead of UTC at an instant. */
function ahead(ms: number, zone: string): number {
  const parts = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' }).formatToParts(ms)
  const part = (type: string) => Number(parts.find((one) => one.type === type)?.value)
  const local = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'))
  return Math.round((local - Math.floor(ms / 1000) * 1000) / 60_000)
}

/** `2026-10-01T08:00` of the zone's clocks → `2026-10-01T08:00:00+08:00`. '' for what is no time. */
export function toInstant(local: string, zone: string): string {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d)?/.exec(local)
  if (!match) return ''
  const asUtc = Date.parse(`${match[1]}${match[2] ?? ':00'}Z`)
  // Around a change of clocks the first guess may be off by it: look again from there.
  const minutes = ahead(asUtc - ahead(asUtc, zone) * 60_000, zone)
  const sign = minutes < 0 ? '-' : '+'
  const two = (n: number) => String(Math.floor(Math.abs(n))).padStart(2, '0')
  return `${match[1]}${match[2] ?? ':00'}${sign}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`
}

/** An instant as the zone's clocks show it: `2026-10-01T08:00`. */
export function toLocal(instant: unknown, zone: string): string {
  const ms = typeof instant === 'number' ? instant : Date.parse(String(instant ?? ''))
  return Number.isFinite(ms) ? new Date(ms + ahead(ms, zone) * 60_000).toISOString().slice(0, 16) : ''
}

/**
 * Milliseconds of the first instant of a local day, `2026-10-01`: where midnight does not exist, the one
 * after it; where there are two, the first. A day that a zone left out begins with the next.
 */
export function dayStart(day: string, zone: string): number {
  const midnight = Date.parse(`${day}T00:00:00Z`)
  // Clocks change at most once within a day around it: midnight by the clocks before, and by those after.
  const found = [-86_400_000, 86_400_000].map((by) => midnight - ahead(midnight + by, zone) * 60_000).sort((a, b) => a - b)
  return found.find((ms) => toLocal(ms, zone).slice(0, 10) >= day) ?? found[1]!
}
