import { expect, it } from 'vitest'

import { keysShown, trimmed, zones, type KeyInfo } from '@/pages/settings/administering'

it('shows keys that still open something, and the others when asked', () => {
  const key = (id: string, revoked_ms: number | null) => ({ id, revoked_ms }) as KeyInfo
  const all = [key('a', null), key('b', 5)]
  expect(keysShown(all, false).map((one) => one.id)).toEqual(['a'])
  expect(keysShown(all, true)).toEqual(all)
})
it('sends logins and names without the blanks around them', () => {
  expect(trimmed({ login: ' wang ', name: ' 王 芳 ', role: 'viewer', language: 'zh' })).toEqual({ login: 'wang', name: '王 芳', role: 'viewer', language: 'zh' })
})
it('offers each zone once, the usual ones first', () => {
  const all = zones()
  expect(all[0]).toBe('Asia/Shanghai')
  expect(new Set(all).size).toBe(all.length)
  for (const one of all) expect(() => new Intl.DateTimeFormat('en', { timeZone: one })).not.toThrow()
})
