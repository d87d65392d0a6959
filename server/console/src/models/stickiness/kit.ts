import type { StickinessBody } from '@/api/types'

import { chosen, type Kit } from '../kit'
import { groupPick } from '../rows'

const kit: Kit = {
  model: 'stickiness',
  body: (event): StickinessBody => ({ event: { e: event }, within: null }),
  missing: (query) => (chosen(query.body.event) ? '' : 'analysis.missing.event'),
  grains: ['hour', 'day', 'week', 'month', 'quarter'],
  compare: true,
  by: { scope: 'both', most: 5 },
  where: () => true,
  charts: (query) => (query.body.within ? ['share', 'bar'] : ['bar']),
  form: () => import('./StickinessForm.vue'),
  pictures: () => import('./StickinessPictures.vue'),
  pick: (row, column, query) => {
    if (column.name !== 'users' && column.name !== 'at_least') return null
    const pick = { ...groupPick(row, query), periods: row.periods, ...(row.bucket === undefined ? {} : { bucket: row.bucket }) }
    return column.name === 'at_least' ? { ...pick, at_least: true } : pick
  },
}
export default kit
