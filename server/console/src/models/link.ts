/** A query in an address: `#q=` and deflated JSON in base64url. Reading it gives the same view again. */
import type { QueryDoc } from '@/api/types'

import type { View } from './kit'

export interface Kept {
  query: QueryDoc
  view: View
}

async function through(bytes: Uint8Array, stream: { readable: ReadableStream; writable: WritableStream }): Promise<Uint8Array> {
  const writer = stream.writable.getWriter()
  void writer.write(bytes).then(() => writer.close()).catch(() => undefined)
  const reader = stream.readable.getReader()
  const parts: Uint8Array[] = []
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    parts.push(value as Uint8Array)
  }
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
const url = (bytes: Uint8Array): string => btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join('')).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
const unurl = (text: string): Uint8Array => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (one) => one.charCodeAt(0))

/** What follows `#q=`. */
export async function packed(kept: Kept): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify({ q: kept.query, v: kept.view }))
  return url(await through(bytes, new CompressionStream('deflate') as never))
}

/** Null for what is no such text. */
export async function unpacked(text: string): Promise<Kept | null> {
  try {
    const bytes = await through(unurl(text), new DecompressionStream('deflate') as never)
    const { q, v } = JSON.parse(new TextDecoder().decode(bytes)) as { q: QueryDoc; v?: View }
    return q && typeof q === 'object' && q.model ? { query: q, view: v ?? {} } : null
  } catch {
    return null
  }
}

/** The address of an analysis. */
export async function linkTo(query: QueryDoc, view: View = {}, project = ''): Promise<string> {
  return `/analysis/${query.model}${project ? `?project=${encodeURIComponent(project)}` : ''}#q=${await packed({ query, view })}`
}
