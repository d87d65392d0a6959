/** What was found about events, in words: the code's name, why it happens and what to do. */
import { i18n } from '@/i18n'

export const REASONS = [
  'unknown_event', 'unknown_property', 'case_conflict', 'type_cast', 'type_mismatch', 'value_not_allowed', 'too_old', 'in_future',
  'sensitive_refused', 'sensitive_tokenised', 'no_consent', 'deprecated', 'malformed', 'missing_event', 'missing_time', 'missing_id',
  'bad_time', 'bad_value', 'bad_name', 'time_out_of_range', 'too_many_properties', 'value_too_long', 'name_too_long', 'id_too_long', 'event_too_large', 'erased_id',
] as const

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
