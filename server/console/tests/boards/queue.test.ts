import { expect, it } from 'vitest'

import { Queue } from '@/pages/boards/running'

it('runs no more than so many at once, and all in their order', async () => {
  const queue = new Queue(4)
  const begun: number[] = []
  const ends: (() => void)[] = []
  let running = 0
  let most = 0
  for (let k = 0; k < 12; k++) {
    queue.put(async () => {
      begun.push(k)
      most = Math.max(most, ++running)
      await new Promise<void>((end) => ends.push(end))
      running--
    })
  }
  expect(begun).toEqual([0, 1, 2, 3])
  while (ends.length) {
    ends.shift()!()
    await new Promise((next) => setTimeout(next))
  }
  expect(begun).toEqual([...Array(12).keys()])
  expect(most).toBe(4)
})
