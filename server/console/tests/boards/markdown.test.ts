import { describe, expect, it } from 'vitest'

import { blocks, safe, spans } from '@/pages/boards/markdown'

describe('light Markdown', () => {
  it('reads heads, lists and paragraphs', () => {
    expect(blocks('# One\n\nline\nmore\n- a\n- b\n1. c').map((one) => one.kind)).toEqual(['h2', 'p', 'ul', 'ol'])
  })
  it('reads marks within a line', () => {
    expect(spans('a **b** *c* `d*e*` [f](https://g)').map((one) => one.kind)).toEqual(['text', 'bold', 'text', 'italic', 'text', 'code', 'text', 'link'])
  })
  it('keeps HTML as text', () => {
    expect(spans('<img src=x onerror=alert(1)>')).toEqual([{ kind: 'text', text: '<img src=x onerror=alert(1)>' }])
  })
  it.each(['javascript:alert(1)', ' javascript:alert(1)', 'data:text/html,x', '//evil.example', '/\\evil.example', 'vbscript:x'])('follows no %s', (href) => {
    expect(safe(href)).toBe(false)
    expect(spans(`[x](${href})`).some((one) => one.kind === 'link')).toBe(false)
  })
  it.each(['https://a.example/b', 'http://a', 'mailto:a@b', '/boards'])('follows %s', (href) => {
    expect(safe(href)).toBe(true)
  })
})
