// Writes .br and .gz beside what is worth it in dist/, and holds the first load to its bound.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

/** Bytes, gzipped: what a first visit loads before any chart. */
const FIRST_LOAD = 350 * 1024
const WORTH = /\.(js|css|html|svg|json)$/

async function* walk(folder) {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* walk(path)
    else yield path
  }
}

const sizes = {}
for await (const path of walk('dist')) {
  if (!WORTH.test(path)) continue
  const bytes = await readFile(path)
  const gz = gzipSync(bytes, { level: 9 })
  sizes[path.replace(/^dist\//, '')] = gz.length
  if (bytes.length < 1024) continue
  await writeFile(`${path}.gz`, gz)
  const br = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } })
  await writeFile(`${path}.br`, br)
}

// What a first visit to an analysis loads before its chart: all that these need, and what that needs.
const manifest = JSON.parse(await readFile('dist/.vite/manifest.json', 'utf8'))
await rm('dist/.vite', { recursive: true })
const ENTRIES = ['index.html', 'src/boot.ts', 'src/i18n/zh/index.ts', 'src/pages/analysis/AnalysisPage.vue', 'src/models/event/EventForm.vue']
const first = new Set()
const seen = new Set()
function need(name) {
  const chunk = manifest[name]
  if (!chunk || seen.has(name)) return
  seen.add(name)
  for (const file of [chunk.file, ...(chunk.css ?? [])]) first.add(file)
  for (const other of chunk.imports ?? []) need(other)
}
for (const name of ENTRIES) {
  if (!manifest[name]) throw new Error(`the build has no ${name}`)
  need(name)
}
const total = [...first].reduce((sum, name) => sum + (sizes[name] ?? 0), sizes['index.html'] ?? 0)
console.log(`first load: ${(total / 1024).toFixed(0)} KiB gzipped in ${first.size + 1} files`)
if (total > FIRST_LOAD) {
  console.error(`the first load is over its ${FIRST_LOAD / 1024} KiB`)
  process.exit(1)
}
