/** Names of columns and of the words that stand in cells, for people. */
import type { Cell, Column, QueryDoc } from '@/api/types'
import { bucketLabel, instant, shown, unitOf } from '@/charts/numbers'
import { i18n } from '@/i18n'
import { eventLabel, labelOf } from '@/query/catalogue'

import type { Kit } from './kit'
import { rangeText, valueName } from './rows'

/** Columns whose values are words of the API. */
const WORDS = new Set(['state', 'layer_name', 'range', 'source_kind', 'target_kind'])

export function columnName(column: Column, query: QueryDoc, kit?: Kit): string {
  const { t, te } = i18n.global
  const own = kit?.columnName?.(column, query)
  if (own) return own
  const { name } = column
  if (/^(event|user)\./.test(name)) return labelOf(name)
  const model = `fields.${query.model}.${name}`
  if (te(model)) return t(model)
  if (te(`fields.any.${name}`)) return t(`fields.any.${name}`)
  const call = /^(\w+)\(([^)]*)\)(@\d+)?$/.exec(name)
  if (call) {
    const [, how, what, at = ''] = call as unknown as [string, string, string, string?]
    if (how === 'credit' || how === 'value') return `${t(`fields.${how}`)} · ${creditName(what)}`
    return `${labelOf(what)} ${te(`measures.${how}`) ? t(`measures.${how}`) : how}${at}`
  }
  const percentile = /^(ttc_|duration_|depth_)?(p\d+|median|mean)$/.exec(name)
  if (percentile) return `${percentile[1] ? t(`fields.prefix.${percentile[1].slice(0, -1)}`) : ''} ${te(`measures.${percentile[2]}`) ? t(`measures.${percentile[2]}`) : percentile[2]!.toUpperCase()}`.trim()
  return name
}

/** `last`, `time_decay 2 day`, `position 10/80/10`. */
export function creditName(text: string): string {
  const { t, te } = i18n.global
  const [name, ...more] = text.split(' ')
  const known = te(`models.attribution.credits.${name}`) ? t(`models.attribution.credits.${name}`) : name!
  return [known, ...more.map((one) => (te(`query.units.${one}`) ? t(`query.units.${one}`) : one))].join(' ')
}

export function cellText(value: Cell, column: Column, query: QueryDoc): string {
  const { t, te } = i18n.global
  const { name } = column
  if (value === null) return /^(event|user)\./.test(name) ? t('charts.noValue') : '–'
  if (name === 'bucket' || name === 'cohort') return bucketLabel(value, query.time?.grain)
  if (name === 'peak_at') return instant(String(value))
  if (WORDS.has(name) || name === 'layer' || name === 'state') {
    const key = `fields.words.${String(value)}`
    if (te(key)) return t(key)
  }
  if (name === 'source' || name === 'target' || name === 'touch' || name === 'label' || name === 'event') return nodeName(String(value))
  if (name === 'property') return labelOf(String(value))
  if (name === 'band' || (query.model === 'user_property' && name === 'value')) return rangeText(String(value))
  if (/^(event|user)\./.test(name)) return valueName(value, name)
  if (name === 'ttc_histogram' || name === 'histogram') return ''
  if (name === 'step' || name === 'period') return shown(value, 'number')
  return shown(value, unitOf(column))
}

/** A step of a path: "page:/loan" keeps its property's value. */
export function nodeName(text: string): string {
  const label = eventLabel(text)
  if (label !== text) return label
  const colon = text.indexOf(':')
  return colon > 0 ? `${eventLabel(text.slice(0, colon))}: ${text.slice(colon + 1)}` : text
}
