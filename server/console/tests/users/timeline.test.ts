import { describe, expect, it } from 'vitest'

import type { Happening } from '@/pages/users/people'
import { ownerNow, typed } from '@/pages/users/people'
import { documentOf, isNarrowed, LIMIT, sessionsOf, type Narrowing } from '@/pages/users/timeline'

const all: Narrowing = { order: 'desc', events: '*', dates: { from: '', to: '' } }

describe('what is asked for a page of a timeline', () => {
  it('is everything, the newest first, to begin with', () => {
    expect(documentOf({ user_id: 'ann' }, all, null)).toEqual({ user_id: 'ann', order: 'desc', limit: LIMIT, e: '*' })
    expect(isNarrowed(all)).toBe(false)
  })
  it('goes on from where the page before ended', () => {
    expect(documentOf({ device_id: 'd' }, all, 'abc').cursor).toBe('abc')
  })
  it.each([['', '*'], [[], '*'], ['pay', 'pay'], [['pay', 'buy'], ['pay', 'buy']]] as const)('has for the events %j %j', (events, e) => {
    const narrowing = { ...all, events: events as string }
    expect(documentOf({ user_id: 'a' }, narrowing, null).e).toEqual(e)
    expect(isNarrowed(narrowing)).toBe(e !== '*')
  })
  it('names only the end of the time that is chosen', () => {
    const one = { ...all, dates: { from: '2026-10-01', to: '' } }
    expect(documentOf({ user_id: 'a' }, one, null).time).toEqual({ from: '2026-10-01' })
    expect(isNarrowed(one)).toBe(true)
    expect(documentOf({ user_id: 'a' }, { ...all, dates: { from: '', to: '2026-10-02' } }, null).time).toEqual({ to: '2026-10-02' })
  })
})

describe('sessions of a timeline', () => {
  const row = (session: number, time: string): Happening => ({ session, time, event: 'e', device_id: null, properties: {} })
  it('are neighbours of one number, whichever order they come in', () => {
    const rows = [row(2, '2026-10-02T00:00:10+08:00'), row(2, '2026-10-01T23:59:00+08:00'), row(1, '2026-09-30T08:00:00+08:00')]
    const found = sessionsOf(rows)
    expect(found.map(({ number, day, first, ms, rows: mine }) => [number, day, first, ms, mine.length])).toEqual([[2, '2026-10-02', 0, 70_000, 2], [1, '2026-09-30', 2, 0, 1]])
  })
  it('go on over the end of a page', () => {
    const page = [row(1, '2026-10-01T08:00:00+08:00')]
    expect(sessionsOf([...page, row(1, '2026-10-01T08:00:05+08:00')])).toHaveLength(1)
  })
  it('are none of nothing', () => expect(sessionsOf([])).toEqual([]))
})

it.each([['$identity_mobile+138', { type: 'mobile', value: '138' }], ['$identity_a+b+c', { type: 'a', value: 'b+c' }], ['138', null], ['$identity_mobile', null]])('reads the id %j', (id, read) => {
  expect(typed(id)).toEqual(read)
})
it('knows who owns a device now', () => {
  const owners = [{ from: null, to: 5, user_id: 'ann' }, { from: 5, to: null, user_id: 'bob' }]
  expect(ownerNow({ id: 'd', customer: null, device: { owners, seen: [] } })).toBe('bob')
  expect(ownerNow({ id: 'd', customer: null, device: { owners: owners.slice(0, 1), seen: [] } })).toBeNull()
  expect(ownerNow({ id: 'c', customer: { devices: [] }, device: null })).toBeNull()
})
