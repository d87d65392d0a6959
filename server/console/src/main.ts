import './polyfills'
import './styles/base.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import './styles/theme.css'

import { createApp } from 'vue'

import App from './App.vue'
import { i18n, startLanguage } from './i18n'
import { router } from './router'
import { startAppearance } from './shell/appearance'
import { watchVersion } from './shell/newer'

startAppearance()
watchVersion()
void startLanguage().then(() => {
  createApp(App).use(i18n).use(router).mount('#app')
})
