import type { ConcurrencyBody } from '@/api/types'

import { ALL_GRAINS, type Kit } from '../kit'
import { groupPick } from '../rows'

const kit: Kit = {
  model: 'concurrency',
  body: (): ConcurrencyBody => ({ events: { e: '*' }, session: { gap: { n: 30, unit: 'minute' } }, minutes: null, tail: null }),
  missing: () => '',
  grains: ALL_GRAINS,
  compare: true,
  by: { scope: 'both', most: 5 },
  where: () => true,
  charts: (query) => (query.time?.grain === 'hour' && !query.body.minutes ? ['line', 'heat'] : ['line', 'bar']),
  form: () => import('./ConcurrencyForm.vue'),
  pictures: () => import('./ConcurrencyPictures.vue'),
  pick: (row, column, query) => (column.name === 'peak' && row.peak_at !== null ? { ...groupPick(row, query), bucket: row.bucket } : null),
}
export default kit
