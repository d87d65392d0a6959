/** Warnings of the API in the language of the page; what is not known stays as it came. */
import { i18n } from '@/i18n'
import { eventLabel, labelOf } from '@/query/catalogue'

export function warningText(warning: unknown): string {
  const { t } = i18n.global
  const text = typeof warning === 'string' ? warning : ((warning as { message?: string } | null)?.message ?? JSON.stringify(warning))
  const unseen = /^(event|property) '(.+?)' has not been seen(?: \(at .*?\))?(?:; nearest: (.*))?$/.exec(text)
  if (unseen) {
    const [, kind, name, nearest] = unseen as unknown as [string, 'event' | 'property', string, string | undefined]
    const near = nearest ? t('analysis.nearest', { names: nearest.replace(/'/g, '') }) : ''
    return t(`analysis.unseen.${kind}`, { name: kind === 'event' ? eventLabel(name) : labelOf(name) }) + near
  }
  const dates = /^some texts of '(.+?)' are no dates/.exec(text)
  if (dates) return t('analysis.noDates', { name: labelOf(dates[1]!) })
  return text
}
