// src/api/schema.json → src/api/query.d.ts, so that forms are held against what the API takes.
import { readFile, writeFile } from 'node:fs/promises'

import { compile } from 'json-schema-to-typescript'

const schema = JSON.parse(await readFile('src/api/schema.json', 'utf8'))
const text = await compile(schema, 'Query', {
  bannerComment: '/* Made by scripts/types.mjs of schema.json; not kept. */',
  additionalProperties: false,
  ignoreMinAndMaxItems: true,
  format: false,
})
await writeFile('src/api/query.d.ts', text)
