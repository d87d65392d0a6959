/** Operators of filters by the kind of a property, and what shape of value each takes. */
import type { FilterLeaf } from '@/api/types'

export type Shape = 'none' | 'one' | 'many' | 'pair' | 'ago' | 'text'

const SHAPES: Record<string, Shape> = {
  eq: 'one', ne: 'one', in: 'many', not_in: 'many', gt: 'one', gte: 'one', lt: 'one', lte: 'one', between: 'pair',
  contains: 'text', not_contains: 'text', starts_with: 'text', ends_with: 'text', matches: 'text',
  is_set: 'none', is_not_set: 'none', is_empty: 'none', within_last: 'ago', has: 'one', has_any: 'many', has_all: 'many',
}
const BY_KIND: Record<string, string[]> = {
  string: ['in', 'not_in', 'contains', 'not_contains', 'starts_with', 'ends_with', 'matches', 'is_set', 'is_not_set', 'is_empty'],
  number: ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'between', 'in', 'not_in', 'is_set', 'is_not_set'],
  bool: ['eq', 'ne', 'is_set', 'is_not_set'],
  datetime: ['within_last', 'gte', 'lt', 'between', 'is_set', 'is_not_set'],
  list: ['has', 'has_any', 'has_all', 'is_set', 'is_not_set', 'is_empty'],
}

/** `number` for whole numbers and floats, `list` for lists; else as it is. */
export function family(kind: string): string {
  if (/^(int|float|number|uint)/.test(kind)) return 'number'
  if (/list|array/.test(kind)) return 'list'
  if (/^(datetime|date|time)/.test(kind)) return 'datetime'
  return kind in BY_KIND ? kind : 'string'
}
export function operators(kind: string): string[] {
  return BY_KIND[family(kind)]!
}
export function shapeOf(op: string): Shape {
  return SHAPES[op] ?? 'one'
}

/** A new condition on a property. */
export function fresh(p: string, kind: string): FilterLeaf {
  const op = operators(kind)[0]!
  return { p, op, ...blank(op, kind) }
}

/** The value that an operator begins with. */
export function blank(op: string, kind: string): { v?: unknown } {
  switch (shapeOf(op)) {
    case 'none': return {}
    case 'many': return { v: [] }
    case 'pair': return { v: [null, null] }
    case 'ago': return { v: { n: 7, unit: 'day' } }
    case 'text': return { v: '' }
    default: return { v: kind === 'bool' ? true : family(kind) === 'number' ? null : '' }
  }
}

/** The same condition with another operator, keeping what fits. */
export function withOperator(leaf: FilterLeaf, op: string, kind: string): FilterLeaf {
  const before = shapeOf(leaf.op)
  const now = shapeOf(op)
  if (before === now) return { ...leaf, op }
  const made: FilterLeaf = { p: leaf.p, op, ...blank(op, kind) }
  if (before === 'one' && now === 'many' && leaf.v !== '' && leaf.v !== null) made.v = [leaf.v]
  if (before === 'many' && now === 'one' && Array.isArray(leaf.v) && leaf.v.length) made.v = leaf.v[0]
  return made
}

/** Whether a condition can be asked; others are left out until they are. */
export function complete(leaf: { p?: unknown; op?: unknown; v?: unknown; tag?: unknown }): boolean {
  if (!leaf.op || !(leaf.p || leaf.tag)) return false
  const { v } = leaf
  switch (shapeOf(String(leaf.op))) {
    case 'none': return true
    case 'many': return Array.isArray(v) && v.length > 0
    case 'pair': return Array.isArray(v) && v.length === 2 && v.every((one) => one !== null && one !== '')
    case 'ago': return !!v && Number((v as { n: number }).n) > 0
    default: return v !== '' && v !== null && v !== undefined
  }
}
