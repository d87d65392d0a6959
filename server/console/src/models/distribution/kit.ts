import type { DistributionBody } from '@/api/types'

import { ALL_GRAINS, chosen, type Kit } from '../kit'
import { groupPick } from '../rows'

const kit: Kit = {
  model: 'distribution',
  body: (event): DistributionBody => ({ e: event, measure: 'times', buckets: 'auto', zero: null }),
  missing: (query) => {
    if (!chosen(query.body)) return 'analysis.missing.event'
    const { measure } = query.body
    return measure && typeof measure === 'object' && !Object.values(measure)[0] ? 'analysis.missing.property' : ''
  },
  grains: ALL_GRAINS,
  grain: 'all',
  compare: true,
  by: { scope: 'both', most: 5, attr: 'ends' },
  where: () => true,
  charts: (query) => (query.time?.grain === 'all' ? ['histogram'] : ['stack', 'share']),
  form: () => import('./DistributionForm.vue'),
  pictures: () => import('./DistributionPictures.vue'),
  pick: (row, column, query) => {
    if (column.name !== 'users') return null
    return { ...groupPick(row, query), bucket: row.bucket, ...(row.is_zero ? { is_zero: true } : { band: row.band }) }
  },
}
export default kit
