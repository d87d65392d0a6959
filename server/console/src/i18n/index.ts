/**
 * Languages: Chinese (default) and English, each one chunk made of its areas (`zh/shell.ts` is
 * `shell.…`). An area is a file of the same name in both folders; nothing else names it.
 */
import { shallowRef } from 'vue'
import { createI18n } from 'vue-i18n'

export type Language = 'zh' | 'en'
export const LANGUAGES: readonly Language[] = ['zh', 'en']

const KEY = 'zuji.language'
const bundles = { zh: () => import('./zh/index'), en: () => import('./en/index') }

export const i18n = createI18n({
  legacy: false,
  locale: 'zh',
  fallbackLocale: false,
  messages: {},
  missingWarn: import.meta.env.DEV,
})

/** Texts of Element Plus' own components. */
export const elementLocale = shallowRef()

/** The language now. */
export function language(): Language {
  return i18n.global.locale.value as Language
}

/** For `Intl`: numbers and dates. */
export function locale(): string {
  return language() === 'zh' ? 'zh-CN' : 'en'
}

export async function setLanguage(chosen: Language): Promise<void> {
  const texts = await bundles[chosen]()
  i18n.global.setLocaleMessage(chosen, texts.default as never)
  i18n.global.locale.value = chosen as never
  elementLocale.value = texts.element
  document.documentElement.lang = chosen === 'zh' ? 'zh-CN' : 'en'
  localStorage.setItem(KEY, chosen)
}

export function startLanguage(): Promise<void> {
  const kept = localStorage.getItem(KEY)
  const mine = kept ?? (navigator.language.startsWith('en') ? 'en' : 'zh')
  return setLanguage(LANGUAGES.includes(mine as Language) ? (mine as Language) : 'zh')
}

/** Whether somebody chose here; if not, the account's language holds. */
export function languageChosen(): boolean {
  return localStorage.getItem(KEY) !== null
}
