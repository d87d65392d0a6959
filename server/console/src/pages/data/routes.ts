import { Coin } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  {
    path: '/data',
    name: 'data',
    component: () => import('./IndexPage.vue'),
    meta: { title: 'shell.pages.data', nav: { group: 'data', order: 1, icon: Coin } },
  },
] satisfies RouteRecordRaw[]
