/** Answers of the boards that were looked at last, so that coming back draws at once. */
import type { Answer, QueryDoc } from '@/api/types'
import { session } from '@/shell/session'

const KEPT = 120
/** What was asked so short a time ago is not asked again when somebody comes back, ms. */
const FRESH_MS = 20_000

interface Known {
  answer: Answer
  /** When it was asked, ms. */
  at: number
}
export const known = new Map<string, Known>()

export const keyOf = (query: QueryDoc): string => `${session.project} ${JSON.stringify(query)}`

export function remember(key: string, one: Known): void {
  known.delete(key)
  known.set(key, one)
  if (known.size > KEPT) known.delete(known.keys().next().value!)
}

export const isFresh = (one: Known | undefined): boolean => one !== undefined && Date.now() - one.at < FRESH_MS
