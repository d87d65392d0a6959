import { DataBoard } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  {
    path: '/boards',
    name: 'boards',
    component: () => import('./IndexPage.vue'),
    meta: { title: 'shell.pages.boards', nav: { group: 'boards', order: 1, icon: DataBoard } },
  },
] satisfies RouteRecordRaw[]
