import type { FunnelBody } from '@/api/types'
import { i18n } from '@/i18n'

import { chosen, type Kit } from '../kit'
import { groupPick } from '../rows'

const kit: Kit = {
  model: 'funnel',
  body: (event): FunnelBody => ({ steps: [{ e: event }, { e: '' }], window: { n: 7, unit: 'day' }, measure: ['ttc_median'] }),
  missing: (query) => ((query.body.steps as { e: string }[]).filter(chosen).length < 2 ? 'analysis.missing.steps' : ''),
  grains: ['hour', 'day', 'week', 'month', 'quarter'],
  compare: true,
  by: { scope: 'both', most: 5, attr: 'steps' },
  where: () => true,
  charts: (query) => (query.body.trend ? ['trend'] : ['funnel']),
  form: () => import('./FunnelForm.vue'),
  pictures: () => import('./FunnelPictures.vue'),
  columnName: ({ name }, { body }) => (name === 'count' && body.count && body.count !== 'users' ? i18n.global.t(`models.funnel.counted.${body.count}`) : undefined),
  pick: (row, column, query) => {
    if (query.body.count && query.body.count !== 'users') return null
    if (column.name !== 'count' && column.name !== 'dropped') return null
    if (column.name === 'dropped' && row.step === 1) return null
    const pick = { ...groupPick(row, query), step: row.step, ...(row.bucket === undefined ? {} : { bucket: row.bucket }) }
    return column.name === 'dropped' ? { ...pick, dropped: true } : pick
  },
}
export default kit
