/** Short dialogs: are you sure, what name, and telling what went wrong. */
import { ElMessage, ElMessageBox } from 'element-plus'

import { inWords, isAbort } from '@/api/problems'
import { i18n } from '@/i18n'

/** Whether the person says yes. `grave`: what cannot be undone. */
export async function sure(text: string, yes: string, { grave = true, title = '' } = {}): Promise<boolean> {
  try {
    await ElMessageBox.confirm(text, title || yes, {
      confirmButtonText: yes,
      cancelButtonText: i18n.global.t('keep.cancel'),
      type: grave ? 'warning' : 'info',
      confirmButtonClass: grave ? 'el-button--danger' : '',
    })
    return true
  } catch {
    return false
  }
}

/** A line of text, or null. `check` says what is wrong with it. */
export async function asked(title: string, before = '', check?: (text: string) => string): Promise<string | null> {
  const { t } = i18n.global
  try {
    const { value } = (await ElMessageBox.prompt('', title, {
      inputValue: before,
      confirmButtonText: t('keep.ok'),
      cancelButtonText: t('keep.cancel'),
      inputValidator: (text: string) => check?.(text.trim()) || true,
    })) as { value: string }
    return value.trim()
  } catch {
    return null
  }
}

export function said(text: string): void {
  ElMessage({ message: text, type: 'success', duration: 2_500 })
}

/** Does it, and tells in words when it fails; whether it went well. */
export async function tried(work: () => Promise<unknown>, done = ''): Promise<boolean> {
  try {
    await work()
    if (done) said(done)
    return true
  } catch (error) {
    if (!isAbort(error)) ElMessage({ message: inWords(error), type: 'error', duration: 8_000, showClose: true })
    return false
  }
}
