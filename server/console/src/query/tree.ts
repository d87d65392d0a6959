/** Groups of conditions: `all`, `any`, and `none`, which a document writes as `{"not": {"any": […]}}`. */

export type Kind = 'all' | 'any' | 'none'
export type Doc = Record<string, unknown>
export interface Group {
  kind: Kind
  parts: Doc[]
}

export function isGroup(doc: Doc): boolean {
  return 'all' in doc || 'any' in doc || 'not' in doc
}

/** What a document says, as a group; a single condition is a group of one. */
export function groupOf(doc: Doc | null | undefined): Group {
  if (!doc) return { kind: 'all', parts: [] }
  if (Array.isArray(doc.all)) return { kind: 'all', parts: doc.all as Doc[] }
  if (Array.isArray(doc.any)) return { kind: 'any', parts: doc.any as Doc[] }
  if (doc.not && typeof doc.not === 'object') {
    const inner = doc.not as Doc
    return { kind: 'none', parts: Array.isArray(inner.any) ? (inner.any as Doc[]) : [inner] }
  }
  return { kind: 'all', parts: [doc] }
}

export function docOf({ kind, parts }: Group): Doc | null {
  if (!parts.length) return null
  if (kind === 'none') return { not: { any: parts } }
  return { [kind]: parts }
}

/** Without what is not complete yet; null when nothing is left. `leaf` gives a condition, or null. */
export function pruned(doc: Doc | null | undefined, leaf: (one: Doc) => Doc | null): Doc | null {
  if (!doc) return null
  if (!isGroup(doc)) return leaf(doc)
  const { kind, parts } = groupOf(doc)
  const left = parts.map((one) => pruned(one, leaf)).filter((one): one is Doc => one !== null)
  if (!left.length) return null
  if (left.length === 1 && kind !== 'none') return left[0]!
  return docOf({ kind, parts: left })
}
