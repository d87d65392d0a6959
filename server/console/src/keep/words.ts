/** Filters and audiences in words: a tree of lines, for reading what somebody built. */
import { i18n } from '@/i18n'
import { eventsLabel, labelOf } from '@/query/catalogue'

export interface Line {
  text: string
  /** `all`, `any`, `none` of these. */
  parts?: Line[]
}
type Doc = Record<string, unknown>

function value(v: unknown): string {
  const { t } = i18n.global
  if (Array.isArray(v)) return v.length > 8 ? `${v.slice(0, 8).map(value).join(', ')} … (${v.length})` : v.map(value).join(', ')
  if (v && typeof v === 'object' && 'n' in v) return length(v)
  if (typeof v === 'boolean') return t(v ? 'query.yes' : 'query.no')
  return v === null || v === undefined ? '' : String(v)
}
function length(of: unknown): string {
  const { n, unit } = of as { n: number; unit: string }
  return `${n} ${i18n.global.t(`query.units.${unit}`)}`
}
function condition(name: string, leaf: Doc): string {
  const asOf = leaf.as_of ? ` ${i18n.global.t('keep.words.asOf', { at: String(leaf.as_of) })}` : ''
  return `${name} ${i18n.global.t(`query.ops.${String(leaf.op)}`)} ${value(leaf.v)}`.trim() + asOf
}

export function filterLines(doc: Doc): Line {
  return grouped(doc, (leaf) => ({ text: condition(labelOf(String(leaf.p)), leaf) }))
}

function grouped(doc: Doc, leafLine: (leaf: Doc) => Line): Line {
  const { t } = i18n.global
  const inner = (one: unknown) => grouped(one as Doc, leafLine)
  for (const kind of ['all', 'any'] as const) {
    if (!Array.isArray(doc[kind])) continue
    const parts = (doc[kind] as unknown[]).map(inner)
    return parts.length === 1 ? parts[0]! : { text: t(`keep.words.${kind}`), parts }
  }
  if (doc.not && typeof doc.not === 'object') {
    const not = doc.not as Doc
    return { text: t('keep.words.none'), parts: (Array.isArray(not.any) ? (not.any as unknown[]) : [not]).map(inner) }
  }
  return leafLine(doc)
}

function within(of: unknown): string {
  const { t } = i18n.global
  if (!of || typeof of !== 'object') return ''
  if ('n' in of) return t('keep.words.within', { length: length(of) })
  const { from, to } = of as { from?: string; to?: string }
  return from && to ? t('keep.words.between', { from, to }) : ''
}
function events(of: Doc): string {
  return eventsLabel(of.e as string | string[]) + (of.where ? ` (${flat(filterLines(of.where as Doc))})` : '')
}
/** One line of text. */
export function flat(line: Line): string {
  return line.parts ? `${line.text}: ${line.parts.map(flat).join('; ')}` : line.text
}

function did(of: Doc): string {
  const { t } = i18n.global
  const words = [events(of)]
  if (of.measure) {
    const [name, p] = Object.entries(of.measure as Record<string, string>)[0] ?? ['sum', '']
    words.push(condition(`${labelOf(p)} ${t(`query.didMeasures.${name}`)}`, (of.value ?? {}) as Doc))
  } else {
    const times = of.count as Doc | null | undefined
    if (times && !(times.op === 'gte' && times.v === 1)) words.push(condition(t('query.didMeasures.count'), times))
  }
  const range = within(of.within)
  if (range) words.push(range)
  return words.join(', ')
}

export function audienceLines(doc: Doc): Line {
  const { t } = i18n.global
  return grouped(doc, (leaf) => {
    if (leaf.user) return filterLines(leaf.user as Doc)
    if (leaf.did) return { text: `${t('query.leafWords.did')} ${did(leaf.did as Doc)}` }
    if (leaf.did_not) return { text: `${t('query.leafWords.did_not')} ${did(leaf.did_not as Doc)}` }
    if (leaf.sequence) {
      const { steps, within: limit } = leaf.sequence as { steps: Doc[]; within?: unknown }
      const words = `${t('query.leafWords.sequence')} ${steps.map(events).join(' → ')}`
      return { text: limit ? `${words}, ${within(limit)}` : words }
    }
    if (leaf.cohort) {
      const asOf = leaf.as_of ? ` ${t('keep.words.asOf', { at: String(leaf.as_of) })}` : ''
      return { text: `${t('query.leafWords.cohort')} ${String(leaf.cohort)}${asOf}` }
    }
    if (leaf.tag) return { text: condition(`${t('query.leafWords.tag')} ${String(leaf.tag)}`, leaf) }
    return { text: JSON.stringify(leaf) }
  })
}
