import { expect, it } from 'vitest'

import { Reader } from '@/api/sse'

it('reads events however the stream is cut', () => {
  const text = 'event: progress\ndata: 0.5\n\nevent: result\ndata: {"a": 1}\n\n'
  for (let cut = 0; cut <= text.length; cut++) {
    const reader = new Reader()
    const told = [...reader.feed(text.slice(0, cut)), ...reader.feed(text.slice(cut))]
    expect(told).toEqual([{ event: 'progress', data: '0.5' }, { event: 'result', data: '{"a": 1}' }])
  }
})
