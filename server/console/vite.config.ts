import { fileURLToPath, URL } from 'node:url'

import vue from '@vitejs/plugin-vue'
import Components from 'unplugin-vue-components/vite'
import { ElementPlusResolver } from 'unplugin-vue-components/resolvers'
import ElementPlus from 'unplugin-element-plus/vite'
import { defineConfig } from 'vitest/config'

import { chunkOf } from './scripts/chunks'
import { head } from './scripts/head'

/** Where the API listens while working on the console: `ZUJI_API=http://127.0.0.1:8107 npm run dev`. */
const api = process.env.ZUJI_API ?? 'http://127.0.0.1:8107'
const proxy = Object.fromEntries(
  ['/v1', '/docs', '/openapi.json'].map((path) => [path, { target: api }]),
)

export default defineConfig({
  plugins: [
    vue(),
    Components({ dts: false, dirs: [], resolvers: [ElementPlusResolver({ importStyle: 'css' })] }),
    ElementPlus({}),
    head(),
  ],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  define: {
    __VUE_OPTIONS_API__: true, // Element Plus needs it
    __VUE_PROD_DEVTOOLS__: false,
    __VUE_I18N_FULL_INSTALL__: false,
    __VUE_I18N_LEGACY_API__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
  },
  // Chromium 80 is what the intranets of our customers have.
  build: {
    target: 'chrome80',
    cssTarget: 'chrome80',
    // Assets in CSS or HTML as data: would be refused by the page's policy (but images).
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true, // of scripts/pack.mjs, which takes it away again
    chunkSizeWarningLimit: 900,
    rollupOptions: {
      input: { index: 'index.html', boot: 'src/boot.ts' },
      // Small files cost a page more requests than bytes: 150 would be 97.
      output: { manualChunks: chunkOf, experimentalMinChunkSize: 16_000 },
    },
  },
  server: { proxy },
  preview: { proxy },
  test: { environment: 'jsdom', include: ['tests/**/*.test.ts'] },
})
