/** Asking: a query document and its answer, the users behind a cell, and both as files. */
import { download, post, send } from './client'
import { Problem } from './problems'
import { events } from './sse'
import type { Answer, Pick, QueryDoc } from './types'

export interface Asking {
  signal?: AbortSignal
  /** 0 … 1 */
  progress?: (share: number) => void
}

/** The answer to a query. */
export async function ask(query: QueryDoc, { signal, progress }: Asking = {}): Promise<Answer> {
  if (!progress) return post<Answer>('/v1/query', query, { signal })
  const response = await send('POST', '/v1/query', { body: query, signal, accept: 'text/event-stream' })
  for await (const { event, data } of events(response)) {
    if (event === 'progress') progress(Number(data))
    else if (event === 'result') return JSON.parse(data) as Answer
    else if (event === 'error') {
      const { error } = JSON.parse(data) as { error: { code: string; message: string; path?: string } }
      throw new Problem(error.code, error.message, 400, error.path)
    }
  }
  throw new Problem('unreachable', '')
}

/** The users behind a cell. */
export function usersBehind(query: QueryDoc, pick: Pick, signal?: AbortSignal): Promise<Answer> {
  return post<Answer>('/v1/query/users', { query, pick }, { signal })
}

export type Form = 'csv' | 'xlsx'

/** Saves an answer as a spreadsheet: CSV with a byte order mark, no cell that would run as a formula. */
export function exportAnswer(path: '/v1/query' | '/v1/query/users', body: unknown, form: Form, name: string): Promise<void> {
  const query = form === 'csv' ? { format: form, bom: 1, safe: 1 } : { format: form }
  return download('POST', path, { body, query }, `${name}.${form}`)
}
