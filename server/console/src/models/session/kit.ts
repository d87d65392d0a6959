import type { SessionBody } from '@/api/types'

import { ALL_GRAINS, type Kit } from '../kit'
import { groupPick } from '../rows'
import { intervalText } from './intervals'

const kit: Kit = {
  model: 'session',
  body: (): SessionBody => ({ events: { e: '*' }, session: { gap: { n: 30, unit: 'minute' }, midnight: false }, measure: ['sessions', 'users', 'duration_avg', 'depth_avg', 'bounce_rate'], attr: 'first', distribution: null }),
  missing: (query) => (query.body.measure?.length ? '' : 'analysis.missing.measure'),
  grains: ALL_GRAINS,
  compare: true,
  by: { scope: 'both', most: 5 },
  where: () => true,
  charts: (query) => (query.body.distribution ? ['histogram'] : query.time?.grain === 'all' ? ['row', 'figure'] : ['line', 'bar', 'figure']),
  form: () => import('./SessionForm.vue'),
  pictures: () => import('./SessionPictures.vue'),
  cellText: (value, { name }, query) => (name === 'interval' ? intervalText(value, query) : undefined),
  pick: (row, column, query) => {
    if (column.name !== 'users') return null
    const pick = { ...groupPick(row, query), bucket: row.bucket }
    if (!query.body.distribution) return pick
    return { ...pick, interval: row.interval, any_interval: false }
  },
}
export default kit
