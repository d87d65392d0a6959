/** Bands of a distribution of sessions: "[60000, 180000)" of durations as times. */
import type { Cell, QueryDoc } from '@/api/types'
import { duration, plain } from '@/charts/numbers'
import { i18n } from '@/i18n'

import { rangeText } from '../rows'

export function intervalText(interval: Cell | undefined, query: QueryDoc): string {
  if (interval === null || interval === undefined) return i18n.global.t('models.session.noDuration')
  const times = query.body.distribution?.of === 'duration'
  return rangeText(String(interval), (n) => (times && n !== 0 ? duration(n) : plain(n)))
}
