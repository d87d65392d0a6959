/** Deleting a cohort or a tag: says first what is made of it, and takes that along when told to. */
import { tried } from '@/keep/asking'
import { i18n } from '@/i18n'
import { load } from '@/query/catalogue'

import { partOf, remove, shown } from './cohorts'

type Sure = (text: string, yes: string) => Promise<boolean>

/** `"cohort 'a'"` → `分群「a」`. */
export function partsInWords(told: string[]): string {
  const { t } = i18n.global
  return told
    .map(partOf)
    .filter((one) => one !== null)
    .map((one) => t('cohorts.partName', { kind: t(`keep.kinds.${one.kind}`), name: one.name }))
    .join(t('cohorts.comma'))
}

/** Whether it is gone. */
export async function removeCohort(name: string, sure: Sure): Promise<boolean> {
  const { t } = i18n.global
  let users: string[] = []
  if (!(await tried(async () => { users = (await shown(name)).used_by }))) return false
  const text = users.length ? t('cohorts.removeUsed', { name, parts: partsInWords(users) }) : t('cohorts.removeSure', { name })
  if (!(await sure(text, users.length ? t('cohorts.removeAll', { n: users.length + 1 }) : t('keep.remove')))) return false
  const gone = await tried(() => remove(name, users.length > 0), t('keep.removed'))
  if (gone) void load(true)
  return gone
}
