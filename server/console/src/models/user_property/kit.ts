import type { UserPropertyBody } from '@/api/types'

import { chosen, type Kit } from '../kit'
import { groupPick } from '../rows'

const kit: Kit = {
  model: 'user_property',
  body: (): UserPropertyBody => ({ measures: [], active: null, as_of: null, auto_buckets: [], persona: null }),
  missing: (query) => {
    const { persona, measures } = query.body
    if (persona && !persona.properties.some((one: { p: string }) => one.p)) return 'analysis.missing.traits'
    return (measures ?? []).some((one: Record<string, string>) => !Object.values(one)[0]) ? 'analysis.missing.property' : ''
  },
  grains: [],
  compare: true,
  by: { scope: 'user', most: 5 },
  where: (query) => chosen(query.body.active),
  charts: (query) => (query.body.persona ? ['row'] : (query.by?.length ?? 0) > 1 ? ['heat', 'row'] : ['row', 'pie']),
  form: () => import('./UserPropertyForm.vue'),
  pictures: () => import('./UserPropertyPictures.vue'),
  pick: (row, column, query) => {
    if (!query.body.persona) return column.name === 'users' ? groupPick(row, query) : null
    if (column.name !== 'group_users' && column.name !== 'base_users') return null
    const pick = { property: row.property, side: column.name === 'base_users' ? 'base' : 'group' }
    if (row.is_other) return { ...pick, is_other: true }
    return row.value === null ? pick : { ...pick, value: row.value }
  },
}
export default kit
