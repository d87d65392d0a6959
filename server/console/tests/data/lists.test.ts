import { describe, expect, it } from 'vitest'

import { countsOf, held, listenTo, MOST, onTop, type Told } from '@/pages/data/live'
import { perDay, sums, type Counter } from '@/pages/data/quality'
import { alikeOf, draftOf, joined, mendOf, PAGE, valueOf, type Refused } from '@/pages/data/quarantine'

describe('pages of refused events', () => {
  const one = (id: string, reason: string, event: unknown): Refused => ({ id, received_ms: 0, index: 0, reason, path: '', message: '', event })
  it('follow each other until one is not full', () => {
    const full = Array.from({ length: PAGE }, (_, k) => one(String(k), 'r', null))
    expect(joined([], full).whole).toBe(false)
    expect(joined(full, [one('x', 'r', null)])).toMatchObject({ whole: true, rows: { length: PAGE + 1 } })
    expect(joined(full, []).whole).toBe(true)
  })
  it('have others like one: of its name and reason', () => {
    const rows = [one('1', 'a', { event: 'pay' }), one('2', 'a', { event: 'buy' }), one('3', 'b', { event: 'pay' }), one('4', 'a', { event: 'pay' }), one('5', 'a', null)]
    expect(alikeOf(rows, rows[0]!)).toEqual(['1', '4'])
    expect(alikeOf(rows, rows[4]!)).toEqual(['5'])
  })
})

describe('mending', () => {
  const event = { event: 'Pay', properties: { amount: '很多', city: '北京', n: 3 } }
  const kind = (name: string) => ({ amount: 'float64' })[name] ?? 'string'
  it('sends nothing of what was not touched', () => expect(mendOf(event, draftOf(event), kind)).toBeNull())
  it('sends names, values and what is dropped', () => {
    const draft = draftOf(event)
    draft.event = 'pay'
    draft.properties[0]!.text = '12.5'
    draft.properties[1]!.drop = true
    draft.properties[2]!.name = 'count'
    draft.added.push({ name: 'way', text: 'face' }, { name: '', text: 'lost' })
    draft.timeFree = true
    expect(mendOf(event, draft, kind)).toEqual({ rename_event: { Pay: 'pay' }, set: { amount: 12.5, way: 'face' }, drop: ['city'], rename_property: { n: 'count' }, time_free: true })
  })
  it.each([['12', 'int64', 12], ['x', 'int64', 'x'], ['', 'float64', ''], ['true', 'bool', true], ['a，b、c', 'list', ['a', 'b', 'c']], ['[1,2]', 'list', [1, 2]], ['12', 'string', '12']])('reads %j of %j', (text, of, value) => {
    expect(valueOf(text, of)).toEqual(value)
  })
})

describe('quality', () => {
  const row = (day: string, reason: string, severity: 'rejected' | 'warning', events: number): Counter => ({ day, reason, severity, sdk: 's', app: 'a', events })
  const rows = [row('2026-10-01', 'x', 'rejected', 2), row('2026-10-02', 'y', 'warning', 5), row('2026-10-02', 'x', 'warning', 1), row('2026-09-01', 'x', 'rejected', 9)]
  it('is summed up by a field, the greatest first', () => {
    expect(sums(rows, 'reason')).toEqual([{ key: 'x', rejected: 11, warning: 1, total: 12 }, { key: 'y', rejected: 0, warning: 5, total: 5 }])
    expect(sums(rows, 'sdk')).toEqual([{ key: 's', rejected: 11, warning: 6, total: 17 }])
  })
  it('has every day of the range, and none beside it', () => {
    expect(perDay(rows, '2026-09-30', '2026-10-02')).toEqual({ days: ['2026-09-30', '2026-10-01', '2026-10-02'], rejected: [0, 2, 0], warning: [0, 0, 6] })
  })
})

describe('live events', () => {
  const told = (key: number, outcome: Told['outcome'] = 'stored'): Told => ({ key, outcome, received_ms: 0, event: null })
  it('have the newest on top, and so many', () => {
    expect(onTop([told(1)], [told(2), told(3)]).map((one) => one.key)).toEqual([3, 2, 1])
    const many = Array.from({ length: MOST }, (_, k) => told(k))
    expect(onTop(many, [told(MOST)])).toHaveLength(MOST)
    expect(onTop(many, [told(MOST)])[0]!.key).toBe(MOST)
  })
  it('wait while paused, the oldest going first', () => {
    let waiting: Told[] = []
    for (let k = 0; k <= MOST; k++) waiting = held(waiting, told(k))
    expect([waiting.length, waiting[0]!.key]).toEqual([MOST, 1])
  })
  it('are counted by what became of them', () => expect(countsOf([told(1), told(2, 'rejected'), told(3, 'repeat')])).toEqual({ stored: 1, rejected: 1 }))
  it('are of whom was named', () => {
    expect(listenTo('user', ' ann ')).toEqual({ user: 'ann' })
    expect(listenTo('device', '  ')).toEqual({})
  })
})
