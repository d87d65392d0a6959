import { describe, expect, it } from 'vitest'

import { drawing, keyOf } from '@/pages/tags/layers'
import { beginning, missing, scalar, sent } from '@/pages/tags/rules'
import { KINDS, nameIsFit, type GraphDoc, type Rule } from '@/pages/tags/tags'

describe('a rule', () => {
  it('is told what it lacks', () => {
    expect(KINDS.map((kind) => missing(beginning(kind)))).toEqual(['layerValue', 'event', 'event', 'event', 'expression', '', ''])
  })
  it('needs a condition in each layer that is filled in', () => {
    const rule: Rule = { kind: 'layers', layers: [{ v: 'gold', if: { user: { p: '', op: 'in', v: [] } } }] }
    expect(missing(rule)).toBe('layerRule')
    rule.layers![0]!.if = { cohort: 'a' }
    expect(missing(rule)).toBe('')
    expect(sent(rule)).toEqual({ kind: 'layers', layers: [{ v: 'gold', if: { cohort: 'a' } }], days: null })
  })
  it('is sent with the fields of its kind alone', () => {
    const rule: Rule = { ...beginning('aggregate'), events: { e: 'pay', where: null }, measure: { sum: 'event.amount' }, buckets: [10, 20], labels: ['low', 'mid', 'high'], as: 'rest of another kind' }
    expect(sent(rule)).toEqual({ kind: 'aggregate', events: { e: 'pay' }, measure: { sum: 'event.amount' }, days: 30, buckets: [10, 20], labels: ['low', 'mid', 'high'] })
  })
  it('drops labels that do not fit its buckets', () => {
    expect(sent({ ...beginning('aggregate'), events: { e: 'pay' }, buckets: [10], labels: ['a'] }).labels).toBeNull()
  })
  it('wants edges that ascend', () => {
    expect(missing({ ...beginning('aggregate'), events: { e: 'pay' }, buckets: [10, 10] })).toBe('ascending')
  })
})

it.each([['12', '', 12], ['12', 'string', '12'], ['true', '', true], ['true', 'bool', true], ['4.5', 'float64', 4.5], ['金', '', '金'], ['-3', 'int64', -3]])('reads %j of %j as %j', (text, type, value) => {
  expect(scalar(text, type)).toBe(value)
})
it.each([['level', true], ['客户等级', true], ['a-b_1', true], ['_a', false], ['a b', false], ['', false]])('says of the name %j: %j', (name, fit) => {
  expect(nameIsFit(name)).toBe(fit)
})

describe('the drawing of what is made of what', () => {
  const node = (name: string) => ({ kind: 'tag' as const, name })
  const graph: GraphDoc = {
    nodes: ['a', 'b', 'c', 'd', 'alone'].map(node),
    edges: [['b', 'a'], ['c', 'b'], ['c', 'a'], ['d', 'a']].map(([of, reads]) => ({ of: node(of!), reads: node(reads!) })),
  }
  it('has each to the right of all its parts', () => {
    const { nodes, lines } = drawing(graph)
    expect(nodes.map((one) => one.name)).toEqual(['a', 'b', 'c', 'd'])
    for (const line of lines) expect(line.from.x).toBeLessThan(line.to.x)
    expect(nodes.find((one) => one.key === keyOf(node('c')))!.layer).toBe(2)
  })
  it('has no two in one place', () => {
    const { nodes } = drawing(graph)
    expect(new Set(nodes.map((one) => `${one.x},${one.y}`)).size).toBe(nodes.length)
  })
  it('is empty of nothing', () => {
    expect(drawing({ nodes: [node('a')], edges: [] }).nodes).toEqual([])
  })
})
