// Writes .br and .gz beside what is worth it in dist/, and holds the first load to its bound.
import { readdir, readFile, writeFile } from 'node:fs/promises'
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

// What index.html names, one language, and the analysis page without its charts.
const index = await readFile('dist/index.html', 'utf8')
const first = new Set([...index.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((m) => m[1]))
for (const name of Object.keys(sizes)) {
  if (/assets\/(zh|zh-cn|AnalysisPage|EventForm)-[^/]*\.(js|css)$/.test(name)) first.add(name)
}
const total = [...first].reduce((sum, name) => sum + (sizes[name] ?? 0), 0)
console.log(`first load: ${(total / 1024).toFixed(0)} KiB gzipped in ${first.size} files`)
if (total > FIRST_LOAD) {
  console.error(`the first load is over its ${FIRST_LOAD / 1024} KiB`)
  process.exit(1)
}
