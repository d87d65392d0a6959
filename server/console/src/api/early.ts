/** Answers that `boot.ts` asked for before the application was there; each is given once. */

/** How long they are news, ms after the page began. */
const NEWS_MS = 10_000

type Early = Record<string, Promise<Response> | undefined>

/** The answer to a GET of this address, if it was asked early. */
export function early(address: string): Promise<Response> | undefined {
  const all = (window as unknown as { early?: Early }).early
  const found = all?.[address]
  if (!all || !found) return undefined
  delete all[address]
  return performance.now() < NEWS_MS ? found : undefined
}
