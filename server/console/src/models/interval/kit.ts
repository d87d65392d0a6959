import type { IntervalBody } from '@/api/types'

import { ALL_GRAINS, chosen, type Kit } from '../kit'
import { groupPick } from '../rows'

const kit: Kit = {
  model: 'interval',
  body: (event): IntervalBody => ({ start: { e: event }, end: null, nearest: 'start', cap: { n: 30, unit: 'day' }, histogram: 'auto' }),
  missing: (query) => (chosen(query.body.start) ? '' : 'analysis.missing.event'),
  grains: ALL_GRAINS,
  grain: 'week',
  compare: true,
  by: { scope: 'both', most: 5, attr: 'ends' },
  where: () => true,
  charts: () => ['box', 'histogram', 'line'],
  form: () => import('./IntervalForm.vue'),
  pictures: () => import('./IntervalPictures.vue'),
  pick: (row, column, query) => (column.name === 'users' ? { ...groupPick(row, query), bucket: row.bucket } : null),
}
export default kit
