/** Server-sent events of a `fetch` answer (an `EventSource` can neither POST nor be told why it failed). */

export interface Told {
  event: string
  data: string
}

/** Cuts a stream's text into events; `feed` may be given any pieces. */
export class Reader {
  private rest = ''

  feed(piece: string): Told[] {
    this.rest += piece
    const parts = this.rest.split(/\r?\n\r?\n/)
    this.rest = parts.pop() ?? ''
    return parts.map(told).filter((one): one is Told => one !== null)
  }
}

function told(part: string): Told | null {
  let event = 'message'
  const data: string[] = []
  for (const line of part.split(/\r?\n/)) {
    if (line.startsWith('event:')) event = line.slice(6).trim()
    else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
  }
  return data.length ? { event, data: data.join('\n') } : null
}

/** The events of an answer, as they come. */
export async function* events(response: Response): AsyncGenerator<Told> {
  if (!response.body) return
  const decoder = new TextDecoder()
  const source = response.body.getReader()
  const reader = new Reader()
  try {
    for (;;) {
      const { done, value } = await source.read()
      if (done) return
      yield* reader.feed(decoder.decode(value, { stream: true }))
    }
  } finally {
    void source.cancel().catch(() => undefined)
  }
}
