/**
 * Which modules travel together. Each file costs a request (and the server's time for it), each
 * kilobyte a page does not need costs its first visit; so: what nearly all pages need in one file,
 * a folder of pages in one, the pictures of all models in one (a board needs most of them), their
 * forms in one, the charts' library by itself. `scripts/pack.mjs` holds the first load to its bound.
 */
const GROUPS: readonly (readonly [RegExp, string | undefined])[] = [
  [/node_modules\/(echarts|zrender)\/|\/src\/charts\/engine\.ts/, 'echarts'],
  [/node_modules\/(@vue|vue|vue-router|vue-i18n|@intlify)\/|plugin-vue:export-helper|vite\/preload-helper/, 'vue'],
  // Element Plus is left to the bundler: a group of it would have all its components.
  [/node_modules\//, undefined],
  [/\/src\/models\/\w+\/\w*Pictures\.vue|\/src\/models\/CohortGrid|\/src\/charts\/(EChart|FigureTiles|plots|tip|still)/, 'pictures'],
  [/\/src\/models\/\w+\/\w*Form\.vue/, 'forms'],
  [/\/src\/(keep|parts|query|models|charts)\//, 'parts'],
  [/\/src\/pages\/\w+\/routes\.ts/, undefined],
]

export function chunkOf(id: string): string | undefined {
  const found = GROUPS.find(([pattern]) => pattern.test(id))
  if (found) return found[1]
  const page = /\/src\/pages\/(\w+)\//.exec(id)
  return page ? `page-${page[1]}` : undefined
}
