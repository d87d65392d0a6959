/** Leaves of an audience (docs/query.md, "Audiences"): beginnings, and which are complete. */
import { complete } from './operators'
import { pruned, type Doc } from './tree'

export type LeafKind = 'user' | 'did' | 'did_not' | 'sequence' | 'cohort' | 'tag'
export const LEAVES: readonly LeafKind[] = ['user', 'did', 'did_not', 'sequence', 'cohort', 'tag']

export function leafKind(leaf: Doc): LeafKind {
  return LEAVES.find((kind) => kind in leaf) ?? 'user'
}

export function begin(kind: LeafKind): Doc {
  switch (kind) {
    case 'user': return { user: { p: '', op: 'in', v: [] } }
    case 'did': return { did: { e: '', where: null, count: { op: 'gte', v: 1 }, within: null } }
    case 'did_not': return { did_not: { e: '', where: null, within: null } }
    case 'sequence': return { sequence: { steps: [{ e: '' }, { e: '' }], within: { n: 7, unit: 'day' } } }
    case 'cohort': return { cohort: '' }
    case 'tag': return { tag: '', op: 'in', v: [] }
  }
}

/** A filter without conditions that are not complete; null: none are left. */
export function cleanFilter(doc: Doc | null | undefined): Doc | null {
  return pruned(doc, (leaf) => (complete(leaf) ? leaf : null))
}

function cleanDid(did: Doc): Doc | null {
  if (!did.e || (Array.isArray(did.e) && !did.e.length)) return null
  const made: Doc = { ...did, where: cleanFilter(did.where as Doc) }
  if (made.where === null) delete made.where
  if (made.measure) {
    const [, p] = Object.entries(made.measure as Record<string, string>)[0] ?? []
    const value = made.value as { v?: unknown } | undefined
    if (!p || value?.v === null || value?.v === undefined) return null
    delete made.count
  }
  return made
}

/** An audience without leaves that are not complete; null: everybody. */
export function cleanAudience(doc: Doc | null | undefined): Doc | null {
  return pruned(doc, (leaf) => {
    switch (leafKind(leaf)) {
      case 'user': {
        const user = cleanFilter(leaf.user as Doc)
        return user && { user }
      }
      case 'did': {
        const did = cleanDid(leaf.did as Doc)
        return did && { did }
      }
      case 'did_not': {
        const did = cleanDid(leaf.did_not as Doc)
        return did && { did_not: did }
      }
      case 'sequence': {
        const sequence = leaf.sequence as { steps: Doc[] }
        const steps = sequence.steps.map(cleanDid).filter((one): one is Doc => one !== null)
        return steps.length > 1 ? { sequence: { ...sequence, steps } } : null
      }
      case 'cohort': return leaf.cohort ? leaf : null
      case 'tag': return leaf.tag && complete(leaf) ? leaf : null
    }
  })
}
