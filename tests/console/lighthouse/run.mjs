// Lighthouse on some pages: node run.mjs < {"chromium", "cookie", "pages": {name: address}, "forms": […]}
// Prints a line of JSON for each: {name, form, performance, accessibility, metrics, failed}.
import { launch } from 'chrome-launcher'
import lighthouse, { desktopConfig } from 'lighthouse'

let text = ''
for await (const piece of process.stdin) text += piece
const { chromium, cookie, pages, forms } = JSON.parse(text)
const METRICS = ['first-contentful-paint', 'largest-contentful-paint', 'total-blocking-time', 'cumulative-layout-shift', 'speed-index']
// A phone on the intranet: a slow processor and a narrow screen, but no telephone network between.
const wifi = { extends: 'lighthouse:default', settings: { throttling: { ...desktopConfig.settings.throttling, cpuSlowdownMultiplier: 4 } } }
const CONFIGS = { desktop: desktopConfig, wifi, mobile: undefined }
for (const form of forms) {
  for (const [name, address] of Object.entries(pages)) {
    const chrome = await launch({ chromePath: chromium, chromeFlags: ['--headless=new', '--no-sandbox', '--lang=zh-CN', '--disable-gpu'] })
    try {
      const { lhr } = await lighthouse(
        address,
        { port: chrome.port, onlyCategories: ['performance', 'accessibility'], extraHeaders: { Cookie: cookie }, logLevel: 'error' },
        CONFIGS[form],
      )
      const score = (category) => Math.round((lhr.categories[category].score ?? 0) * 100)
      const weights = Object.fromEntries(lhr.categories.accessibility.auditRefs.map((one) => [one.id, one.weight]))
      console.log(JSON.stringify({
        name, form,
        performance: score('performance'),
        accessibility: score('accessibility'),
        metrics: Object.fromEntries(METRICS.map((id) => [id, Math.round((lhr.audits[id]?.numericValue ?? 0) * 1000) / 1000])),
        failed: Object.values(lhr.audits).filter((one) => one.score === 0 && weights[one.id]).map((one) => `${one.id}: ${(one.details?.items ?? []).slice(0, 3).map((item) => item.node?.snippet).join(' | ')}`),
        error: lhr.runtimeError?.message,
      }))
    } finally {
      chrome.kill()
    }
  }
}
