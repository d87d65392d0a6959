import { beforeEach, describe, expect, it } from 'vitest'

import { entryOf, tidy, undeclared, valuesOf, withEntry, wrongName } from '@/pages/data/plan'
import { catalogue } from '@/query/catalogue'

describe('allowed values', () => {
  it('are of the property’s kind, a line each', () => {
    expect(valuesOf(' 1 \n2.5\n\nx', 'float64')).toEqual([1, 2.5, 'x'])
    expect(valuesOf('1\n2', 'string')).toEqual(['1', '2'])
    expect(valuesOf('true\nfalse\nyes', 'bool')).toEqual([true, false, 'yes'])
    expect(valuesOf(' \n ', 'string')).toBeNull()
  })
})

describe('a name', () => {
  const all = [{ name: 'pay' }, { name: 'Login' }]
  it.each([['', '', 'keep.needName'], ['  ', '', 'keep.needName'], ['PAY', '', 'data.nameTaken'], [' login ', '', 'data.nameTaken'], ['pay', 'pay', ''], ['buy', 'pay', ''], ['login', 'pay', 'data.nameTaken']])('%j in place of %j: %j', (name, before, wrong) => {
    expect(wrongName(name, before, all)).toBe(wrong)
  })
})

describe('an entry', () => {
  const mine = { name: ' pay ', title: '支付', description: '', owner: '', deprecated: false, kind: 'int64', sensitive: '', purpose: '' }
  it('of an event has no kind, and its properties only when they are limited', () => {
    expect(entryOf('events', mine, { values: '1', properties: null })).toEqual({ name: 'pay', title: '支付' })
    expect(entryOf('events', mine, { values: '', properties: [] })).toEqual({ name: 'pay', title: '支付', properties: [] })
  })
  it('of a property has its kind and values', () => {
    expect(entryOf('properties', mine, { values: '1\n2', properties: ['x'] })).toEqual({ name: 'pay', title: '支付', kind: 'int64', values: [1, 2] })
  })
  it('stands where the one before stood, or at the end', () => {
    expect(withEntry([{ name: 'a' }, { name: 'b' }], { name: 'c' }, 'a')).toEqual([{ name: 'c' }, { name: 'b' }])
    expect(withEntry([{ name: 'a' }], { name: 'c' })).toEqual([{ name: 'a' }, { name: 'c' }])
    expect(withEntry(undefined, { name: 'c' })).toEqual([{ name: 'c' }])
  })
  it('keeps what means something', () => expect(tidy({ a: 0, b: '', c: false, d: null, e: true, f: [] })).toEqual({ a: 0, e: true, f: [] }))
})

describe('what is not declared', () => {
  const event = (name: string, virtual = false) => ({ name, virtual }) as never
  const property = (name: string, scope: string, origin = 'sent') => ({ name, scope, origin, kind: 'string' }) as never
  beforeEach(() => {
    catalogue.events = [event('Pay'), event('buy'), event('$pageview'), event('made', true)]
    catalogue.properties = [property('city', 'event'), property('level', 'user'), property('made', 'event', 'virtual'), property('$os', 'event')]
  })
  it('was sent, whatever its case, and is no word of the SDKs', () => {
    const left = undeclared({ events: [{ name: 'pay' }], properties: [{ name: 'CITY' }] })
    expect(left.events).toEqual([{ name: 'buy' }])
    expect(left.properties).toEqual([])
    expect(left.user_properties).toEqual([{ name: 'level', kind: 'string' }])
  })
  it('has words of the SDKs when the plan does not take them', () => {
    expect(undeclared({ presets: false }).events.map((one) => one.name)).toEqual(['Pay', 'buy', '$pageview'])
  })
})
