/** Deleting a tag: says first what is made of it, and takes that along when told to. */
import { i18n } from '@/i18n'
import { tried } from '@/keep/asking'
import { load } from '@/query/catalogue'

import { partsInWords } from '../cohorts/removing'
import { remove, shown } from './tags'

/** Whether it is gone. */
export async function removeTag(name: string, sure: (text: string, yes: string) => Promise<boolean>): Promise<boolean> {
  const { t } = i18n.global
  let users: string[] = []
  if (!(await tried(async () => { users = (await shown(name)).used_by }))) return false
  const text = users.length ? t('tags.removeUsed', { name, parts: partsInWords(users) }) : t('tags.removeSure', { name })
  if (!(await sure(text, users.length ? t('tags.removeAll', { n: users.length + 1 }) : t('keep.remove')))) return false
  const gone = await tried(() => remove(name, users.length > 0), t('keep.removed'))
  if (gone) void load(true)
  return gone
}
