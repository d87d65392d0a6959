/**
 * Runs while the application's scripts are still on their way: fetches the files that the page at
 * this address will need, and asks what it will ask first (who we are, the project's events, the
 * board), so that all is there when it does (`api/early.ts` hands the answers out). A script of its
 * own; it must import nothing.
 */
type Early = Record<string, Promise<Response> | undefined>

const early: Early = ((window as unknown as { early?: Early }).early = {})
const { pathname, searchParams } = new URL(location.href)
const project = searchParams.get('project')

function ask(path: string, given: Record<string, string> = {}): void {
  const text = new URLSearchParams(given).toString()
  const address = text ? `${path}?${text}` : path
  const answer = (early[address] = fetch(address, { credentials: 'same-origin', headers: { accept: 'application/json' } }))
  answer.catch(() => undefined) // whoever takes it is told
}

if (pathname !== '/sign-in') {
  ask('/v1/auth/me')
  const id = searchParams.get('id')
  if (project && pathname === '/boards/view' && id) ask(`/v1/boards/${encodeURIComponent(id)}`, { project })
  if (project && /^\/(analysis\/|boards\/view)/.test(pathname)) ask('/v1/schema', { project })
}

/** Files that will be imported, by what the build knows of this address (`scripts/head.ts`). */
function load(files: string | undefined): void {
  for (const file of files?.split(' ') ?? []) {
    if (!file) continue
    const link = document.createElement('link')
    link.rel = file.endsWith('.css') ? 'preload' : 'modulepreload'
    if (link.rel === 'preload') link.as = 'style'
    link.crossOrigin = ''
    link.href = file
    document.head.appendChild(link)
  }
}

const { zh, en, pages = '{}' } = document.getElementById('boot')?.dataset ?? {}
const language = localStorage.getItem('zuji.language') ?? (navigator.language.startsWith('en') ? 'en' : 'zh')
load(language === 'en' ? en : zh)
load(Object.entries(JSON.parse(pages) as Record<string, string>).find(([path]) => pathname.startsWith(path))?.[1])

export {}
