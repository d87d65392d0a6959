/** Rules while they are edited: what each kind begins with, what is missing, and what is sent. */
import type { AudienceDoc, FilterDoc } from '@/api/types'
import { cleanAudience, cleanFilter } from '@/query/audience'

import type { Kind, Rule, Scalar } from './tags'

export function beginning(kind: Kind): Rule {
  switch (kind) {
    case 'layers': return { kind, layers: [{ v: '', if: null }], days: null }
    case 'value': return { kind, events: { e: '' }, p: '', take: 'last', days: null }
    case 'aggregate': return { kind, events: { e: '' }, measure: 'count', days: 30, buckets: null, labels: null }
    case 'rfm': return { kind, event: { e: '' }, monetary: '', days: 90, gives: 'layer' }
    case 'expression': return { kind, as: '', type: 'float64' }
    case 'imported': return { kind, type: 'string' }
    case 'manual': return { kind, type: 'string', values: null }
  }
}

/** Edges of each value that an RFM tag needs: one makes high and low, four make scores of 1 to 5. */
export const edgesWanted = (gives: string | undefined): number => (!gives || gives === 'layer' ? 1 : 4)

const audience = (doc: AudienceDoc | null) => cleanAudience(doc) as AudienceDoc | null
const chosen = (e: string | string[] | undefined) => !!e && e.length > 0

/** A key of `tags.missing.…` for the first thing that is not filled in; '' when it can be sent. */
export function missing(rule: Rule): string {
  switch (rule.kind) {
    case 'layers':
      if (!rule.layers?.length) return 'layer'
      if (rule.layers.some((one) => one.v === '')) return 'layerValue'
      return rule.layers.some((one) => !audience(one.if)) ? 'layerRule' : ''
    case 'value': return !chosen(rule.events?.e) ? 'event' : rule.p ? '' : 'property'
    case 'aggregate':
      if (!chosen(rule.events?.e)) return 'event'
      if (typeof rule.measure === 'object' && !Object.values(rule.measure)[0]) return 'property'
      if (rule.buckets && rule.buckets.some((edge, k) => k > 0 && edge <= rule.buckets![k - 1]!)) return 'ascending'
      return rule.labels && rule.labels.some((one) => !one.trim()) ? 'labels' : ''
    case 'rfm': return !chosen(rule.event?.e) ? 'event' : rule.monetary ? '' : 'property'
    case 'expression': return rule.as?.trim() ? '' : 'expression'
    default: return ''
  }
}

/** `42`, `true` and `4.5` of the text that somebody typed; text stays text. */
export function scalar(text: string, type = ''): Scalar {
  const trimmed = text.trim()
  if (type === 'string') return trimmed
  if (/^(true|false)$/.test(trimmed) && type !== 'int64' && type !== 'float64') return trimmed === 'true'
  if (/^-?\d+(\.\d+)?$/.test(trimmed) && type !== 'bool') return Number(trimmed)
  return trimmed
}

function eventsOf(one: { e: string | string[]; where?: FilterDoc | null } | undefined) {
  const where = cleanFilter((one?.where ?? null) as Record<string, unknown> | null)
  return { e: one?.e ?? '', ...(where ? { where: where as unknown as FilterDoc } : {}) }
}

/** As the API takes it: only this kind's fields, without what is not filled in. */
export function sent(rule: Rule): Rule {
  const { kind } = rule
  switch (kind) {
    case 'layers': return { kind, layers: rule.layers!.map((one) => ({ v: one.v, if: audience(one.if) })), days: rule.days || null }
    case 'value': return { kind, events: eventsOf(rule.events), p: rule.p, take: rule.take, days: rule.days || null, ...(rule.type ? { type: rule.type } : {}) }
    case 'aggregate': {
      const buckets = rule.buckets?.length ? rule.buckets : null
      const labels = buckets && rule.labels?.length === buckets.length + 1 ? rule.labels : null
      return { kind, events: eventsOf(rule.events), measure: rule.measure, days: rule.days || null, buckets, labels }
    }
    case 'rfm': {
      const { monetary, days, gives, thresholds, quantiles } = rule
      return { kind, event: eventsOf(rule.event), monetary, days: days || 90, gives, ...(thresholds ? { thresholds } : {}), ...(quantiles?.length ? { quantiles } : {}) }
    }
    case 'expression': return { kind, as: rule.as, type: rule.type }
    case 'imported': return { kind, type: rule.type }
    case 'manual': return { kind, type: rule.type, values: rule.values?.length ? rule.values : null }
  }
}
