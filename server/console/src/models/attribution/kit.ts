import type { AttributionBody } from '@/api/types'

import { chosen, type Kit } from '../kit'
import { groupPick } from '../rows'

const kit: Kit = {
  model: 'attribution',
  body: (event): AttributionBody => ({ target: { e: event, value: null }, touches: [{ e: '' }], lookback: { n: 7, unit: 'day' }, models: ['first', 'last', 'linear'], match: [] }),
  missing: (query) => {
    if (!chosen(query.body.target)) return 'analysis.missing.target'
    if (!(query.body.touches as { e: string }[]).some(chosen)) return 'analysis.missing.touch'
    return query.body.models?.length ? '' : 'analysis.missing.credit'
  },
  grains: ['hour', 'day', 'week', 'month', 'quarter', 'year'],
  compare: true,
  by: { scope: 'both', most: 5 },
  where: () => true,
  charts: (query) => (query.body.trend ? ['trend'] : ['bar', 'share']),
  form: () => import('./AttributionForm.vue'),
  pictures: () => import('./AttributionPictures.vue'),
  pick: (row, column, query) => {
    if (column.name !== 'users') return null
    const pick = { ...groupPick(row, query), ...(row.bucket === undefined ? {} : { bucket: row.bucket }) }
    return row.is_direct ? { ...pick, is_direct: true } : { ...pick, touch: row.touch, name: row.name }
  },
}
export default kit
