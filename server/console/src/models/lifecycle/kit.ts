import type { LifecycleBody } from '@/api/types'

import { chosen, type Kit } from '../kit'
import { groupPick } from '../rows'

const kit: Kit = {
  model: 'lifecycle',
  body: (event): LifecycleBody => ({ event: { e: event } }),
  missing: (query) => (chosen(query.body.event) ? '' : 'analysis.missing.event'),
  grains: ['hour', 'day', 'week', 'month', 'quarter', 'year'],
  grain: 'week',
  compare: true,
  by: { scope: 'both', most: 5 },
  where: () => true,
  charts: () => ['stack', 'line'],
  form: () => import('./LifecycleForm.vue'),
  pictures: () => import('./LifecyclePictures.vue'),
  pick: (row, column, query) => {
    const pick = { ...groupPick(row, query), bucket: row.bucket }
    if (column.name === 'active') return pick
    return column.name === 'users' ? { ...pick, state: row.state } : null
  },
}
export default kit
