import { beforeEach, describe, expect, it } from 'vitest'

import { dayStart } from '@/query/instants'
import { filterOf } from '@/pages/data/quarantine'
import { session } from '@/shell/session'

const iso = (ms: number) => new Date(ms).toISOString()

describe('a day of a zone', () => {
  it.each([
    ['Asia/Shanghai', '2026-10-01', '2026-09-30T16:00:00.000Z'],
    ['UTC', '2026-10-01', '2026-10-01T00:00:00.000Z'],
    ['Asia/Kolkata', '2026-10-01', '2026-09-30T18:30:00.000Z'],
    // Clocks go forward and back in the night after it began.
    ['Europe/Berlin', '2026-03-29', '2026-03-28T23:00:00.000Z'],
    ['Europe/Berlin', '2026-03-30', '2026-03-29T22:00:00.000Z'],
    ['Europe/Berlin', '2026-10-25', '2026-10-24T22:00:00.000Z'],
    ['Europe/Berlin', '2026-10-26', '2026-10-25T23:00:00.000Z'],
    ['America/New_York', '2026-03-08', '2026-03-08T05:00:00.000Z'],
    ['America/New_York', '2026-03-09', '2026-03-09T04:00:00.000Z'],
    ['America/New_York', '2026-11-01', '2026-11-01T04:00:00.000Z'],
    ['America/New_York', '2026-11-02', '2026-11-02T05:00:00.000Z'],
    ['Australia/Sydney', '2026-10-04', '2026-10-03T14:00:00.000Z'],
    ['Australia/Sydney', '2026-10-05', '2026-10-04T13:00:00.000Z'],
    // There is no midnight: the day begins at one.
    ['America/Santiago', '2026-09-06', '2026-09-06T04:00:00.000Z'],
    ['America/Santiago', '2026-04-05', '2026-04-05T04:00:00.000Z'],
    ['Africa/Cairo', '2026-04-24', '2026-04-23T22:00:00.000Z'],
    ['Africa/Cairo', '2026-10-30', '2026-10-29T22:00:00.000Z'],
    // There are two midnights: it begins with the first.
    ['America/Havana', '2026-11-01', '2026-11-01T04:00:00.000Z'],
    // There is no such day: the next one.
    ['Pacific/Apia', '2011-12-30', '2011-12-30T10:00:00.000Z'],
  ])('of %s, %s, begins at %s', (zone, day, begin) => {
    expect(iso(dayStart(day, zone))).toBe(begin)
  })
})

describe('what was refused on some days', () => {
  beforeEach(() => {
    session.project = 'bank'
    session.me = { projects: [{ name: 'bank', tz: 'Europe/Berlin' }] } as never
  })
  it('is asked for from the start of the first to the end of the last', () => {
    expect(filterOf('', { from: '', to: '' })).toEqual({})
    const autumn = filterOf('bad_name', { from: '2026-10-25', to: '2026-10-25' })
    expect(autumn.reason).toBe('bad_name')
    expect(autumn.to_ms! - autumn.from_ms!).toBe(25 * 3_600_000)
    const spring = filterOf('', { from: '2026-03-29', to: '2026-03-29' })
    expect(spring.to_ms! - spring.from_ms!).toBe(23 * 3_600_000)
  })
})
