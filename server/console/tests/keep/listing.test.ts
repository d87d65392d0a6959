import { expect, it } from 'vitest'
import { ref } from 'vue'

import { listing } from '@/keep/listing'
import { kindOfTime, turned } from '@/pages/cohorts/time'
import { edgesWanted, sent } from '@/pages/tags/rules'
import { readShift, shiftOf } from '@/query/shifts'

it('narrows a list by words and a choice, and sorts what is left', () => {
  const all = ref([{ name: 'b', kind: 'x', n: 1 }, { name: 'a', kind: 'y', n: 3 }, { name: 'ab', kind: 'x', n: 2 }])
  const list = listing(() => all.value, { fields: ['name'], of: 'kind', sorting: { by: 'n', down: true } })
  const names = () => list.rows.value.map((one) => one.name).join()
  expect([names(), list.narrowed.value]).toEqual(['a,ab,b', false])
  list.text.value = 'a'
  expect([names(), list.narrowed.value]).toEqual(['a,ab', true])
  list.choice.value = 'x'
  expect(names()).toBe('ab')
  list.clear()
  list.sorting.value = { by: 'name', down: false }
  expect(names()).toBe('a,ab,b')
  all.value = []
  expect(names()).toBe('')
})
it('sorts each list by itself', () => {
  const sorting = { by: 'n', down: true }
  const [one, other] = [listing(() => [], { fields: [], sorting }), listing(() => [], { fields: [], sorting })]
  one.sorting.value.down = false
  expect(other.sorting.value.down).toBe(true)
})

it('tells what the time of a cohort is, and turns it', () => {
  const now = Date.parse('2026-10-01T20:00:00Z')
  const ever = { from: null, to: 'now', tz: null }
  expect(kindOfTime(ever)).toBe('ever')
  expect(kindOfTime({ ...ever, to: '2017-12-31' })).toBe('until')
  expect(kindOfTime({ ...ever, from: '-90d' })).toBe('range')
  expect(turned(ever, 'until', 'Asia/Shanghai', now)).toEqual({ from: null, to: '2026-10-02', tz: null })
  expect(turned({ from: '2026-01-01', to: 'today', tz: 'UTC' }, 'ever', 'UTC', now)).toEqual({ from: null, to: 'now', tz: 'UTC' })
  expect(kindOfTime(turned(ever, 'range', 'UTC', now))).toBe('range')
  const range = { from: '2026-01-01', to: '2026-02-01', tz: null }
  expect(turned(range, 'range', 'UTC', now)).toBe(range)
})

it('reads how far back a range is compared', () => {
  expect(readShift('-3M')).toEqual({ n: 3, unit: 'M' })
  expect(readShift('3M')).toBeNull()
  expect(readShift(undefined)).toBeNull()
  expect(shiftOf(0, 'd')).toBe('-1d')
  for (const text of ['-1h', '-7d', '-2q']) expect(shiftOf(readShift(text)!.n, readShift(text)!.unit)).toBe(text)
})

it('sends the edges of an RFM tag as its values want them', () => {
  expect([edgesWanted('layer'), edgesWanted('r'), edgesWanted('scores'), edgesWanted(undefined)]).toEqual([1, 4, 4, 1])
  const rule = { kind: 'rfm' as const, event: { e: 'pay' }, monetary: 'event.amount', days: 90, gives: 'layer', thresholds: { recency: [30], frequency: null, monetary: [1000] }, quantiles: [0.8] }
  expect(sent(rule)).toEqual(rule)
  expect('thresholds' in sent({ ...rule, thresholds: null })).toBe(false)
})
