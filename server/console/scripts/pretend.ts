/** Until the server knows accounts: `ZUJI_PROJECT=demo` makes the development server answer who we are. */
import type { Plugin } from 'vite'

export function pretend(): Plugin {
  const project = process.env.ZUJI_PROJECT
  const answer = {
    account: { id: 'dev', login: 'dev', name: 'dev', role: 'administrator' },
    csrf: '', must_change: false, dev: true, version: 'dev',
    permissions: ['ask', 'save', 'group', 'plan', 'quarantine', 'people', 'keys', 'accounts', 'projects'],
    projects: [{ name: project, tz: 'America/New_York' }],
  }
  const use = (server: { middlewares: { use: (path: string, f: (q: unknown, r: any) => void) => void } }) => {
    if (!project) return
    server.middlewares.use('/v1/auth/me', (_, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(answer))
    })
  }
  return { name: 'pretend', configureServer: use, configurePreviewServer: use }
}
