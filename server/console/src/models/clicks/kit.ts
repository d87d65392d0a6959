import type { ClicksBody } from '@/api/types'
import { catalogue } from '@/query/catalogue'

import type { Kit } from '../kit'
import { groupPick } from '../rows'

const CLICKS = ['$WebClick', '$AppClick', '$MPClick', 'click']

const kit: Kit = {
  model: 'clicks',
  // Of the click events of all SDKs those that the project has: it would be warned of the others each time.
  body: (): ClicksBody => {
    const e = CLICKS.filter((name) => catalogue.events.some((one) => one.name === name))
    return e.length && e.length < CLICKS.length ? { e: e.length === 1 ? e[0]! : e } : {}
  },
  missing: (query) => (query.body.grid && !query.body.on ? 'analysis.missing.page' : ''),
  grains: [],
  compare: true,
  by: { scope: 'both', most: 2 },
  where: () => true,
  charts: (query) => (query.body.grid ? ['map'] : ['row']),
  form: () => import('./ClicksForm.vue'),
  pictures: () => import('./ClicksPictures.vue'),
  pick: (row, column, query) => {
    if (column.name !== 'users') return null
    if (row.is_other) return { ...groupPick({ range: row.range ?? 'current' }, { ...query, by: [] }), is_other: true }
    const cell = query.body.grid ? { page: row.page, column: row.column, row: row.row } : { page: row.page, element: row.element, text: row.text }
    return { ...groupPick(row, query), cell }
  },
}
export default kit
