/** What the project has to ask about: events, properties, cohorts, tags. Loaded once a project. */
import { reactive } from 'vue'

import { get } from '@/api/client'
import type { EventInfo, PropertyInfo, Schema } from '@/api/types'
import { i18n } from '@/i18n'
import { session } from '@/shell/session'

export interface TagInfo {
  name: string
  p: string
  kind?: string
  type?: string
  description?: string
  values?: unknown[] | null
}
export interface CohortInfo {
  name: string
  p: string
  description?: string
  size?: number | null
}

export const catalogue = reactive({
  project: '',
  events: [] as EventInfo[],
  properties: [] as PropertyInfo[],
  cohorts: [] as CohortInfo[],
  tags: [] as TagInfo[],
  /** Newest event, ms; null: there is none. */
  newest: null as number | null,
})

let loading: Promise<void> | undefined

/** Loads what is there, once; `again` after something changed. */
export function load(again = false): Promise<void> {
  if (loading && catalogue.project === session.project && !again) return loading
  catalogue.project = session.project
  loading = fetchAll().catch((error: unknown) => {
    loading = undefined
    throw error
  })
  return loading
}

async function fetchAll(): Promise<void> {
  const found = await get<Schema & { cohorts?: CohortInfo[]; tags?: TagInfo[] }>('/v1/schema')
  catalogue.events = [...found.events].sort((a, b) => Number(a.deprecated) - Number(b.deprecated) || (b.rows ?? 0) - (a.rows ?? 0))
  catalogue.properties = found.properties
  catalogue.cohorts = found.cohorts ?? []
  catalogue.tags = found.tags ?? []
  catalogue.newest = found.events.reduce<number | null>((max, one) => Math.max(max ?? -Infinity, one.last_ms ?? -Infinity), null)
  if (!Number.isFinite(catalogue.newest ?? NaN)) catalogue.newest = null
  named.clear()
  for (const one of catalogue.properties) named.set(one.p, one)
}

const named = new Map<string, PropertyInfo>()

export const BUILT_IN: readonly { p: string; kind: string }[] = [
  { p: 'event.$name', kind: 'string' },
  { p: 'event.$time', kind: 'datetime' },
  { p: 'event.$received', kind: 'datetime' },
]

/** `string int64 float64 bool datetime list` of a property as it stands in queries. */
export function kindOf(p: string): string {
  if (p.startsWith('user.$cohort.')) return 'bool'
  if (p.startsWith('user.$tag.')) {
    const tag = catalogue.tags.find((one) => p === one.p || p.startsWith(`${one.p}@`))
    return tag?.type ?? 'string' // (`kind` is how a tag is made)
  }
  return named.get(p)?.kind ?? BUILT_IN.find((one) => one.p === p)?.kind ?? 'string'
}

export function isNumber(p: string): boolean {
  return ['int64', 'float64', 'number', 'int', 'float'].includes(kindOf(p))
}

/** What people call an event: its label of the tracking plan, or its name. */
export function eventLabel(name: string): string {
  const { t, te } = i18n.global
  if (name === '*') return t('query.anyEvent')
  const known = catalogue.events.find((one) => one.name === name)
  if (known?.title) return known.title
  return te(`preset.${name}`) ? t(`preset.${name}`) : name
}

/** What people call some events. */
export function eventsLabel(e: string | string[] | null | undefined): string {
  return (Array.isArray(e) ? e : e ? [e] : []).map(eventLabel).join(' / ')
}

/** What people call a property. */
export function labelOf(p: string): string {
  const { t, te } = i18n.global
  const known = named.get(p)
  if (known?.title) return known.title
  if (p.startsWith('user.$cohort.')) return t('query.inCohort', { name: p.slice(13) })
  if (p.startsWith('user.$tag.')) return p.slice(10)
  const name = p.slice(p.indexOf('.') + 1)
  if (te(`preset.${name}`)) return t(`preset.${name}`)
  return name
}

/** Whether the newest event is so old that "the last 30 days" has nothing. */
export function dataIsOld(now = Date.now()): boolean {
  return catalogue.newest !== null && now - catalogue.newest > 7 * 86_400_000
}

/** Local date of an instant in the project's zone: `2026-10-01`. */
export function dateIn(ms: number, zone: string): string {
  const parts = new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' }).formatToParts(ms)
  const part = (type: string) => parts.find((one) => one.type === type)?.value ?? ''
  return `${part('year')}-${part('month')}-${part('day')}`
}

/** `2026-10-01` moved by days. */
export function dateMoved(date: string, days: number): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10)
}
