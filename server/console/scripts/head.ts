/**
 * What index.html says to load beside the entry: `boot.ts` as a script of its own, and for `boot.ts`
 * the files that a language and a kind of page will need, as data, so that they are fetched together
 * and not one after another as imports are found.
 */
import type { Plugin } from 'vite'

interface Chunk {
  type: 'chunk'
  fileName: string
  name: string
  imports: string[]
  dynamicImports: string[]
  facadeModuleId: string | null
  moduleIds: string[]
  viteMetadata?: { importedCss: Set<string> }
}

const pictures = (model: string): string => `/src/models/${model}/${model[0]!.toUpperCase()}${model.slice(1)}Pictures.vue`

/** By the beginning of an address: the modules that pages there end up with. */
const PAGES: Record<string, string[]> = {
  '/boards/view': ['/src/pages/boards/BoardPage.vue', '/src/charts/engine.ts', ...['event', 'funnel', 'retention', 'lifecycle', 'concurrency'].map(pictures)],
  '/boards': ['/src/pages/boards/ListPage.vue'],
  '/analysis/': ['/src/pages/analysis/AnalysisPage.vue', '/src/models/event/EventForm.vue', '/src/models/event/EventPictures.vue', '/src/charts/engine.ts'],
}
const LANGUAGES: Record<string, string[]> = {
  zh: ['/src/i18n/zh/index.ts'],
  en: ['/src/i18n/en/index.ts'],
}

export function head(): Plugin {
  return {
    name: 'zuji-head',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler(html, { bundle }) {
        const chunks = new Map(Object.values(bundle ?? {}).filter((one) => one.type === 'chunk').map((one) => [one.fileName, one as unknown as Chunk]))
        const files = (chunk: Chunk, found = new Set<string>()): Set<string> => {
          if (found.has(chunk.fileName)) return found
          found.add(chunk.fileName)
          for (const css of chunk.viteMetadata?.importedCss ?? []) found.add(css)
          for (const other of chunk.imports) files(chunks.get(other)!, found)
          return found
        }
        const all = [...chunks.values()]
        const boot = all.find((one) => one.name === 'boot')!
        const known = files(all.find((one) => one.facadeModuleId?.endsWith('index.html'))!)
        const needed = (modules: string[]): string => {
          const some = new Set<string>()
          for (const name of modules) {
            const chunk = all.find((one) => one.moduleIds.some((id) => id.replace(/\.m?js$/, '').endsWith(name.replace(/\.m?js$/, ''))))
            if (!chunk) throw new Error(`the build has no ${name}`)
            files(chunk, some)
          }
          return [...some].filter((file) => !known.has(file)).map((file) => `/${file}`).join(' ')
        }
        const attrs: Record<string, string | boolean> = { type: 'module', async: true, crossorigin: true, id: 'boot', src: `/${boot.fileName}` }
        for (const [name, modules] of Object.entries(LANGUAGES)) attrs[`data-${name}`] = needed(modules)
        attrs['data-pages'] = JSON.stringify(Object.fromEntries(Object.entries(PAGES).map(([path, modules]) => [path, needed(modules)])))
        return { html, tags: [{ tag: 'script', attrs, injectTo: 'head-prepend' }] }
      },
    },
  }
}
