/** What was found about events, in words: the code's name, why it happens and what to do. */
import { i18n } from '@/i18n'

/** Those for which an event waits in the quarantine. */
export const REFUSING = ['unknown_event', 'type_mismatch', 'value_not_allowed', 'too_old', 'in_future', 'case_conflict', 'malformed', 'missing_time', 'missing_id'] as const

function told(kind: 'titles' | 'texts', code: string): string {
  const { t, te } = i18n.global
  const key = `data.reasons.${kind}.${code}`
  return te(key) ? t(key) : ''
}
export const reasonTitle = (code: string): string => told('titles', code) || code
/** Why, and what to do; empty for a code we know nothing of. */
export const reasonText = (code: string): string => told('texts', code)
