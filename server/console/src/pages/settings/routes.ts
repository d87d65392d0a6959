import { Setting } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  {
    path: '/settings',
    name: 'settings',
    component: () => import('./IndexPage.vue'),
    meta: { title: 'shell.pages.settings', nav: { group: 'settings', order: 1, icon: Setting } },
  },
] satisfies RouteRecordRaw[]
