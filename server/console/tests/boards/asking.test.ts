import { describe, expect, it } from 'vitest'

import type { Answer, QueryDoc } from '@/api/types'
import { asFigure, figureOf, figuresOf, under } from '@/pages/boards/asking'
import { same } from '@/pages/boards/running'

const query = (more: Partial<QueryDoc> = {}): QueryDoc => ({ model: 'event', time: { from: '2026-10-01', to: '2026-10-07', grain: 'day' }, body: { series: [{ e: 'pay', measure: 'users' }] }, ...more })
const answer = (more: Partial<Answer>): Answer => ({ v: 1, query: query(), columns: [], rows: [], totals: {}, meta: { range: { from: '', to: '' }, rows_read: 0, bytes_read: 0, elapsed_ms: 0, truncated: false, warnings: [] }, ...more })

describe('a card under its board', () => {
  it('takes the dates of the board and keeps its own grain', () => {
    expect(under(query(), { from: '-7d', to: 'yesterday' }, null).time).toEqual({ from: '-7d', to: 'yesterday', grain: 'day' })
  })
  it('keeps its own dates when the board has none', () => {
    expect(under(query(), null, null)).toEqual(query())
  })
  it('adds the filter of the board to its own', () => {
    const own = { p: 'event.city', op: 'eq', v: 'x' }
    const shared = { p: 'event.os', op: 'eq', v: 'y' }
    expect(under(query({ where: own }), null, shared).where).toEqual({ all: [own, shared] })
    expect(under(query(), null, shared).where).toEqual(shared)
  })
})

describe('a figure', () => {
  it('is asked in one, without groups, beside the period before', () => {
    const made = asFigure(query({ by: [{ p: 'event.city' }] }), 'Asia/Shanghai')
    expect(made.time!.grain).toBe('all')
    expect(made.by).toBeUndefined()
    expect(made.compare).toEqual({ shift: '-7d' })
  })
  it('keeps what its analysis is compared with', () => {
    expect(asFigure(query({ compare: { shift: '-1y' } }), 'Asia/Shanghai').compare).toEqual({ shift: '-1y' })
  })
  it('is told of the totals, each series with its own before', () => {
    const totals = {
      columns: ['series', 'value'], rows: [['A', 10], ['B', 4]],
      previous: { columns: ['series', 'value'], rows: [['B', 8], ['A', 20]] },
    }
    const found = answer({ totals, columns: [{ name: 'value', type: 'float64', unit: null }] })
    expect(figuresOf(found).map((one) => [one.series, one.value, one.previous])).toEqual([['A', 10, 20], ['B', 4, 8]])
    expect(figureOf(found, { column: 'value', series: 'B' })!.value).toBe(4)
    expect(figureOf(found, { column: 'gone' })!.value).toBe(10)
  })
  it('is told of the first row where there are no totals', () => {
    const columns = [{ name: 'range', type: 'string', unit: null }, { name: 'peak', type: 'int64', unit: 'users' }]
    const found = answer({ columns, rows: [['current', 9], ['previous', 7]] })
    expect(figuresOf(found)).toEqual([{ column: columns[1], value: 9, previous: 7 }])
  })
  it('is none of an answer without rows', () => {
    expect(figureOf(answer({}), {})).toBeUndefined()
  })
})

describe('an answer', () => {
  const one = answer({ rows: [['a', 1]] })
  it('is the same whatever it took', () => {
    expect(same(one, answer({ rows: [['a', 1]], meta: { ...one.meta, elapsed_ms: 99 } }))).toBe(true)
  })
  it('is another with another number', () => {
    expect(same(one, answer({ rows: [['a', 2]] }))).toBe(false)
    expect(same(null, one)).toBe(false)
  })
})
