import { describe, expect, it } from 'vitest'

import { nameIsFit, partOf } from '@/pages/cohorts/cohorts'
import { columnsOf, csvOfLines } from '@/pages/cohorts/csv'
import { distance, lens, regionsOf, ruleOf } from '@/pages/cohorts/regions'

describe('comparing cohorts', () => {
  // a = {1 2 3 4 5 7}, b = {3 4 5 6}, c = {5 6 7 8 9}
  const found = {
    users: { a: 6, b: 4, c: 5 }, only: { a: 2, b: 0, c: 2 }, all: 1, any: 9,
    pairs: [
      { first: 'a', second: 'b', both: 3, only_first: 3, only_second: 1 },
      { first: 'a', second: 'c', both: 2, only_first: 4, only_second: 3 },
      { first: 'b', second: 'c', both: 2, only_first: 2, only_second: 3 },
    ],
  }
  it('parts three into seven regions that sum to the union', () => {
    const regions = regionsOf(['a', 'b', 'c'], found)
    expect(regions.map((one) => [one.inside.join(''), one.users])).toEqual([['abc', 1], ['ab', 2], ['ac', 1], ['bc', 1], ['a', 2], ['b', 0], ['c', 2]])
    expect(regions.reduce((sum, one) => sum + one.users, 0)).toBe(found.any)
  })
  it('tells the rule of a region', () => {
    expect(ruleOf(['a', 'b'], ['a', 'b', 'c'])).toEqual({ all: [{ cohort: 'a' }, { cohort: 'b' }, { not: { cohort: 'c' } }] })
  })
  it('draws two circles that have so much in common', () => {
    for (const part of [0.1, 0.5, 0.9]) {
      const area = part * Math.PI * 60 * 60
      expect(Math.abs(lens(100, 60, distance(100, 60, area)) - area)).toBeLessThan(1)
    }
    expect(distance(100, 60, 0)).toBeGreaterThan(160)
  })
})

describe('files of ids', () => {
  it('have columns', () => {
    expect(columnsOf('\uFEFFid,"last, name","a ""b"""\r\n1,2,3')).toEqual(['id', 'last, name', 'a "b"'])
  })
  it('are made of lines', async () => {
    const text = await new Promise((end) => {
      const reader = new FileReader()
      reader.onload = () => end(reader.result)
      reader.readAsText(csvOfLines('user_id', ['a', 'b"c']))
    })
    expect(text).toBe('user_id\na\n"b""c"\n')
  })
})

it('reads what the API calls a part', () => {
  expect(partOf("cohort 'big spenders'")).toEqual({ kind: 'cohort', name: 'big spenders' })
  expect(partOf('tag "it\'s"')).toEqual({ kind: 'tag', name: "it's" })
  expect(partOf('something else')).toBeNull()
})
it.each([['high value', true], ['高价值', true], ['', false], [' a', false], ['a/b', false], ['a@b', false], ['x'.repeat(101), false]])('says of the name %j: %j', (name, fit) => {
  expect(nameIsFit(name)).toBe(fit)
})
