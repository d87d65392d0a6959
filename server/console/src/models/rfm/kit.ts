import type { RfmBody } from '@/api/types'

import { chosen, type Kit } from '../kit'
import { groupPick } from '../rows'

const kit: Kit = {
  model: 'rfm',
  body: (event): RfmBody => ({ event: { e: event }, monetary: '', cells: 'layers' }),
  missing: (query) => (!chosen(query.body.event) ? 'analysis.missing.event' : query.body.monetary ? '' : 'analysis.missing.monetary'),
  grains: [],
  compare: true,
  by: { scope: 'both', most: 5 },
  where: () => true,
  charts: (query) => (query.body.cells === 'scores' ? ['heat', 'row'] : ['layers', 'row']),
  form: () => import('./RfmForm.vue'),
  pictures: () => import('./RfmPictures.vue'),
  pick: (row, column, query) => {
    if (column.name !== 'users') return null
    const pick = groupPick(row, query)
    return row.layer === undefined ? { ...pick, r: row.r, f: row.f, m: row.m } : { ...pick, layer: row.layer }
  },
}
export default kit
