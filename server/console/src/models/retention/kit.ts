import type { RetentionBody } from '@/api/types'

import { chosen, type Kit } from '../kit'
import { groupPick } from '../rows'

const kit: Kit = {
  model: 'retention',
  body: (event): RetentionBody => ({ start: { e: event }, return: { e: event }, periods: 7 }),
  missing: (query) => (chosen(query.body.start) && chosen(query.body.return) ? '' : 'analysis.missing.startReturn'),
  grains: ['day', 'week', 'month'],
  compare: true,
  by: { scope: 'both', most: 5 },
  where: () => true,
  charts: () => ['grid', 'curve'],
  form: () => import('./RetentionForm.vue'),
  pictures: () => import('./RetentionPictures.vue'),
  pick: (row, column, query) => {
    const pick = { ...groupPick(row, query), cohort: row.cohort }
    if (column.name === 'size') return pick
    if (column.name !== 'returned' || row.returned === null) return null
    return { ...pick, period: row.period, ...(query.body.churn ? { churned: true } : {}) }
  },
}
export default kit
