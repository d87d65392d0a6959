/** Errors of the API: a stable code, the API's message, and the place in the query's JSON. */
import { i18n } from '@/i18n'

export class Problem extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status = 0,
    readonly path?: string,
  ) {
    super(message)
    this.name = 'Problem'
  }
}

/** Whether it is the end of a request that we stopped ourselves. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}

/**
 * What went wrong, for people: the code in words of their language, the code itself, and the place in
 * the query; on a second line what the API said, which is English (`keep/ProblemText.vue` shows it small).
 */
export function inWords(error: unknown): string {
  const { t, te } = i18n.global
  if (!(error instanceof Problem)) return t('problems.unknown', { why: String(error) })
  const key = `problems.${error.code}`
  const words = te(key) ? t(key) : t('problems.other')
  const where = error.path && error.path !== '$' ? [error.code, error.path] : [error.code]
  const said = error.message && error.message !== words ? `\n${error.message}` : ''
  return `${words} (${where.join(' · ')})${said}`
}

/** Of an answer that is not 2xx. */
export async function problemOf(response: Response): Promise<Problem> {
  try {
    const { error } = (await response.json()) as {
      error: { code: string; message: string; path?: string }
    }
    return new Problem(error.code, error.message, response.status, error.path)
  } catch {
    return new Problem(response.status >= 500 ? 'unreachable' : 'error', response.statusText, response.status)
  }
}
