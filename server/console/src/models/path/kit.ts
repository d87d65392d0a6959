import type { PathBody, Pick, Row } from '@/api/types'
import { i18n } from '@/i18n'

import type { Kit } from '../kit'
import { groupPick } from '../rows'

/** The ends of a link as a pick names them. */
export function linkPick(row: Row): Pick {
  const pick: Pick = { layer: row.layer }
  for (const end of ['source', 'target'] as const) {
    if (row[`${end}_kind`] === 'node') pick[end] = row[end]
    else pick[`${end}_kind`] = row[`${end}_kind`]
  }
  return pick
}

const kit: Kit = {
  model: 'path',
  body: (): PathBody => ({ events: [{ e: '*' }], exclude: [], start: null, end: null, nodes: [], collapse: true, max_steps: 5, max_nodes: 8, count: 'sessions' }),
  missing: () => '',
  grains: [],
  compare: false,
  by: { scope: 'both', most: 2 },
  where: () => true,
  charts: () => ['sankey'],
  form: () => import('./PathForm.vue'),
  pictures: () => import('./PathPictures.vue'),
  columnName: ({ name }, { body }) => (name === 'count' ? i18n.global.t(`models.path.counts.${body.count ?? 'sessions'}`) : undefined),
  pick: (row, column, query) => (column.name === 'count' ? { ...groupPick(row, query), ...linkPick(row) } : null),
}
export default kit
