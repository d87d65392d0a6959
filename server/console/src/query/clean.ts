/** A query as it can be asked: without conditions, events and breakdowns that are not filled in yet. */
import type { QueryDoc } from '@/api/types'

import { cleanAudience, cleanFilter } from './audience'
import type { Doc } from './tree'

const AUDIENCES = new Set(['audience', 'group', 'base'])
/** Parts that may be left out when nothing is chosen in them. */
const OPTIONAL = new Set(['end', 'active', 'start'])
const LISTS = new Set(['series', 'steps', 'touches', 'values', 'exclude', 'events', 'nodes', 'properties', 'by', 'measures', 'formula', 'auto_buckets'])
/** Properties that must be equal, which may have another name at each end. */
const HELD = new Set(['match', 'hold'])

/** Whether one is not named at every end yet. */
function halfHeld(one: unknown): boolean {
  if (Array.isArray(one)) return !one.length || one.some(({ p }: { p: string }) => !p)
  return typeof one === 'object' && one !== null ? Object.values(one).some((p) => !p) : !one
}

function empty(one: unknown): boolean {
  if (one === '' || one === null || one === undefined) return true
  if (typeof one !== 'object') return false
  const doc = one as Doc
  if ('e' in doc) return doc.e === '' || doc.e === null || (Array.isArray(doc.e) && !doc.e.length) || ('p' in doc && doc.p === '')
  if ('p' in doc) return !doc.p
  if ('expr' in doc) return !String(doc.expr).trim()
  return false
}

function walk(value: unknown, key: string): unknown {
  if (Array.isArray(value)) {
    const list = value.map((one) => walk(one, ''))
    if (HELD.has(key)) return list.filter((one) => !halfHeld(one))
    if (key === 'measure') return list.filter((one) => typeof one !== 'object' || !!(one as { sum?: string }).sum)
    return LISTS.has(key) ? list.filter((one) => !empty(one)) : list
  }
  if (typeof value !== 'object' || value === null) return value
  const made: Doc = {}
  for (const [name, one] of Object.entries(value as Doc)) {
    if (one === undefined || (name === 'as' && one === '')) continue
    if (name === 'where') {
      const filter = cleanFilter(one as Doc)
      if (filter) made.where = filter
    } else if (AUDIENCES.has(name)) {
      const audience = cleanAudience(one as Doc)
      if (audience) made[name] = audience
      else if (name !== 'audience') made[name] = name === 'group' ? { all: [] } : null
    } else if (OPTIONAL.has(name) && typeof one === 'object' && one !== null && empty(one)) {
      continue
    } else made[name] = walk(one, name)
  }
  return made
}

export function clean(query: QueryDoc): QueryDoc {
  const made = walk(JSON.parse(JSON.stringify(query)), '') as QueryDoc
  const { compare } = made
  if (!compare || (!compare.shift && !compare.audience)) delete made.compare
  if (!made.by?.length) delete made.by
  if (!made.where) delete made.where
  if (!made.audience) delete made.audience
  return made
}
