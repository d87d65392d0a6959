/** What people call the series of an event analysis: the event and its measure, or the name it was given. */
import type { QueryDoc } from '@/api/types'
import { i18n } from '@/i18n'
import { eventsLabel, labelOf } from '@/query/catalogue'

/** The letter of a series that has no name: A … Z. */
export const letter = (k: number): string => String.fromCharCode(65 + k)

/** By the name that the answer's rows have. */
export function namesOf(query: QueryDoc): Map<string, string> {
  const { t, te } = i18n.global
  const names = new Map<string, string>()
  const series = query.body.series as { e: string; as?: string | null; measure: string | Record<string, string> }[]
  for (const [k, one] of series.entries()) {
    const how = typeof one.measure === 'string'
      ? t(`measures.${one.measure}`)
      : Object.entries(one.measure).map(([f, p]) => `${labelOf(p)} ${te(`measures.${f}`) ? t(`measures.${f}`) : f.toUpperCase()}`).join()
    const name = one.as ?? letter(k)
    names.set(name, name === letter(k) ? `${eventsLabel(one.e)} · ${how}` : name)
  }
  return names
}
