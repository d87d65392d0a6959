import { Collection } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  {
    path: '/saved',
    name: 'saved',
    component: () => import('./ListPage.vue'),
    meta: { title: 'shell.pages.saved', nav: { group: 'boards', order: 2, icon: Collection } },
  },
] satisfies RouteRecordRaw[]
