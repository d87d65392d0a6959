import type { EventBody } from '@/api/types'

import { ALL_GRAINS, chosen, type Kit } from '../kit'
import { groupPick } from '../rows'
import { letter, namesOf } from './names'

interface Series {
  e: string
  measure?: unknown
  as?: string
  moving_average?: number | null
}

const kit: Kit = {
  model: 'event',
  body: (event): EventBody => ({ series: [{ e: event, measure: 'count' }], formula: [] }),
  missing: (query) => {
    const series = query.body.series as Series[]
    if (!series.some(chosen)) return 'analysis.missing.event'
    const half = series.some((one) => one.measure && typeof one.measure === 'object' && !Object.values(one.measure)[0])
    return half ? 'analysis.missing.property' : ''
  },
  grains: ALL_GRAINS,
  compare: true,
  by: { scope: 'both', most: 5 },
  where: () => true,
  charts: (query) =>
    query.time?.grain === 'all'
      ? ['row', 'pie', 'figure']
      : query.time?.grain === 'hour'
        ? ['line', 'bar', 'stack', 'area', 'heat', 'figure']
        : query.time?.grain === 'day' || !query.time?.grain
          ? ['line', 'bar', 'stack', 'area', 'calendar', 'figure']
          : ['line', 'bar', 'stack', 'area', 'figure'],
  form: () => import('./EventForm.vue'),
  pictures: () => import('./EventPictures.vue'),
  cellText: (value, column, query) => (column.name === 'series' ? namesOf(query).get(String(value)) : undefined),
  pick: (row, column, query) => {
    if (column.name !== 'value') return null
    const series = query.body.series as Series[]
    const k = series.findIndex((one, j) => (one.as ?? letter(j)) === row.series)
    const one = series[k]
    if (!one || one.measure !== 'users' || one.moving_average) return null
    return { ...groupPick(row, query), series: row.series, ...(row.bucket === undefined ? {} : { bucket: row.bucket }) }
  },
}
export default kit
