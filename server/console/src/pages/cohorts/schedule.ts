/** Schedules in words. */
import { i18n } from '@/i18n'

/** Of the API's `"week 03:00"`; a dash of none. */
export function scheduleWords(text: string | null): string {
  if (!text) return '–'
  const [every, at] = text.split(' ')
  return i18n.global.t(`cohorts.every.${every}`, { at: every === 'hour' ? (at ?? '').slice(3) : at ?? '' })
}
