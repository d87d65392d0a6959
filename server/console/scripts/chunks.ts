/**
 * Which modules travel together, beside what the bundler finds: the libraries that all pages need,
 * and that of charts. Larger groups (what several pages share, a folder of pages) save requests, but
 * they import each other in circles, and then it depends on the bundler's release whether a page
 * starts at all. `scripts/pack.mjs` holds the first load to its bound.
 */
export function chunkOf(id: string): string | undefined {
  if (/node_modules\/(echarts|zrender)\//.test(id)) return 'echarts'
  if (/node_modules\/(@vue|vue|vue-router|vue-i18n|@intlify)\//.test(id)) return 'vue'
  return undefined
}
