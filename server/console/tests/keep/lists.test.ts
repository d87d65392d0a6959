import { describe, expect, it } from 'vitest'

import { matching, sorted } from '@/keep/sorting'
import { foldersOf, within, type SavedEntry } from '@/pages/saved/saved'

describe('lists', () => {
  const rows = [{ name: 'b', n: 2 }, { name: 'a', n: null }, { name: 'c', n: 10 }]
  it('are sorted by numbers and by names, what has none last', () => {
    expect(sorted(rows, { by: 'n', down: true }).map((one) => one.name)).toEqual(['c', 'b', 'a'])
    expect(sorted(rows, { by: 'n', down: false }).map((one) => one.name)).toEqual(['b', 'c', 'a'])
    expect(sorted(rows, { by: 'name', down: false }).map((one) => one.name)).toEqual(['a', 'b', 'c'])
  })
  it('are found by all words, in any field', () => {
    const some = [{ name: '转账漏斗', text: 'Weekly' }, { name: '登录', text: 'weekly' }]
    expect(matching(some, '漏斗 week', ['name', 'text'])).toEqual([some[0]])
    expect(matching(some, ' ', ['name'])).toEqual(some)
  })
})

describe('folders', () => {
  const entry = (folder: string) => ({ id: folder, name: folder, folder, description: '', model: 'event' }) as SavedEntry
  it('count what is in them and below', () => {
    expect(foldersOf([entry('a'), entry('a/b'), entry('a/b'), entry('')])).toEqual([{ folder: 'a', count: 3 }, { folder: 'a/b', count: 2 }, { folder: '', count: 1 }])
  })
  it('hold what is below them', () => {
    expect(within('a/b', 'a')).toBe(true)
    expect(within('ab', 'a')).toBe(false)
    expect(within('a', '')).toBe(false)
  })
})
