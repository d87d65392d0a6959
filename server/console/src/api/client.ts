/**
 * One way to the API: adds the project and the CSRF token, ends with its `AbortSignal`, and throws
 * `Problem`. The session's cookie travels by itself; nothing secret is kept in the page.
 */
import { early } from './early'
import { Problem, isAbort, problemOf } from './problems'

/** What every request needs to know; set by the session. */
export const context = {
  csrf: '',
  project: '',
  /** Called when the API says that nobody is signed in. */
  onSignedOut: () => {},
}

export interface Options {
  query?: Record<string, string | number | boolean | null | undefined>
  body?: unknown
  headers?: Record<string, string>
  accept?: string
  signal?: AbortSignal
}

/** Paths that belong to no project. */
const GLOBAL = /^\/v1\/(auth|accounts|projects)(\/|$)/

export function address(path: string, query: Options['query'] = {}): string {
  const params = new URLSearchParams()
  if (context.project && !GLOBAL.test(path)) params.set('project', context.project)
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') params.set(name, String(value))
  }
  const text = params.toString()
  return text ? `${path}?${text}` : path
}

/** The raw answer, 2xx only. A `FormData`, `Blob` or text body goes as it is, all else as JSON. */
export async function send(method: string, path: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { accept: options.accept ?? 'application/json', ...options.headers }
  if (method !== 'GET' && context.csrf) headers['x-zuji-csrf'] = context.csrf
  let body: BodyInit | undefined
  if (options.body instanceof Blob || options.body instanceof FormData || typeof options.body === 'string') {
    body = options.body
  } else if (options.body !== undefined) {
    body = JSON.stringify(options.body)
    headers['content-type'] = 'application/json'
  }
  let response: Response
  try {
    const where = address(path, options.query)
    const asked = method === 'GET' && !options.headers && !options.accept ? early(where) : undefined
    response = await (asked ?? fetch(where, { method, headers, body, signal: options.signal, credentials: 'same-origin' }))
    if (asked && options.signal?.aborted) throw new DOMException('no longer wanted', 'AbortError')
  } catch (error) {
    if (isAbort(error)) throw error
    throw new Problem('unreachable', '')
  }
  if (response.ok) return response
  const problem = await problemOf(response)
  if (response.status === 401 && !path.startsWith('/v1/auth/')) context.onSignedOut()
  throw problem
}

async function json<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const response = await send(method, path, options)
  if (response.status === 204) return undefined as T
  const text = await response.text()
  return (text ? JSON.parse(text) : undefined) as T
}

export const get = <T>(path: string, options?: Options) => json<T>('GET', path, options)
export const post = <T>(path: string, body?: unknown, options?: Options) =>
  json<T>('POST', path, { ...options, body })
export const put = <T>(path: string, body?: unknown, options?: Options) =>
  json<T>('PUT', path, { ...options, body })
export const patch = <T>(path: string, body?: unknown, options?: Options) =>
  json<T>('PATCH', path, { ...options, body })
export const del = <T>(path: string, options?: Options) => json<T>('DELETE', path, options)

/** Saves bytes as a file of the browser. */
export function saveAs(blob: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  document.body.appendChild(link)
  link.click()
  link.remove()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/** Fetches and saves a file: `download('POST', '/v1/query', {body, query: {format: 'csv'}}, 'a.csv')`. */
export async function download(method: string, path: string, options: Options, name: string): Promise<void> {
  const response = await send(method, path, { accept: '*/*', ...options })
  saveAs(await response.blob(), name)
}
