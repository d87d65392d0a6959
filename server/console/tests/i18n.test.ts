import { describe, expect, it } from 'vitest'

import en from '@/i18n/en/index'
import zh from '@/i18n/zh/index'

function keys(texts: unknown, at = ''): string[] {
  if (typeof texts !== 'object' || texts === null) return [at]
  return Object.entries(texts).flatMap(([key, value]) => keys(value, at ? `${at}.${key}` : key))
}
function values(texts: unknown): string[] {
  if (typeof texts === 'string') return [texts]
  return typeof texts === 'object' && texts !== null ? Object.values(texts).flatMap(values) : []
}

describe('texts', () => {
  it('are the same in both languages', () => {
    expect(keys(en).sort()).toEqual(keys(zh).sort())
  })
  it('are not empty', () => {
    expect(values(zh).filter((text) => !text.trim())).toEqual([])
    expect(values(en).filter((text) => !text.trim())).toEqual([])
  })
  it('have the same placeholders', () => {
    const holes = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().join()
    const pairs = keys(zh).map((key) => {
      const read = (texts: unknown) => key.split('.').reduce((on, part) => (on as Record<string, unknown>)?.[part], texts)
      return [key, String(read(zh) ?? ''), String(read(en) ?? '')] as const
    })
    expect(pairs.filter(([, a, b]) => holes(a) !== holes(b)).map(([key]) => key)).toEqual([])
  })
})
