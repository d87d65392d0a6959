import type { LtvBody } from '@/api/types'

import { chosen, type Kit } from '../kit'
import { groupPick } from '../rows'

const kit: Kit = {
  model: 'ltv',
  body: (event): LtvBody => ({ start: { e: event }, date: null, cohort: 'first_in_range', periods: 12, mode: 'calendar', values: [{ e: event, p: null, sign: 1 }] }),
  missing: (query) => {
    if (!chosen(query.body.start) && !query.body.date) return 'analysis.missing.start'
    return (query.body.values as { e: string }[]).some(chosen) ? '' : 'analysis.missing.values'
  },
  grains: ['day', 'week', 'month'],
  grain: 'week',
  compare: true,
  by: { scope: 'both', most: 5 },
  where: () => true,
  charts: () => ['curve', 'grid'],
  form: () => import('./LtvForm.vue'),
  pictures: () => import('./LtvPictures.vue'),
  pick: (row, column, query) => {
    const pick = { ...groupPick(row, query), cohort: row.cohort }
    if (column.name === 'size') return pick
    if (column.name === 'payers' && row.payers !== null) return { ...pick, period: row.period }
    if (column.name === 'payers_so_far' && row.payers_so_far !== null) return { ...pick, period: row.period, so_far: true }
    return null
  },
}
export default kit
