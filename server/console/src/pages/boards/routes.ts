import { DataBoard } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  {
    path: '/boards',
    name: 'boards',
    component: () => import('./ListPage.vue'),
    meta: { title: 'shell.pages.boards', nav: { group: 'boards', order: 1, icon: DataBoard } },
  },
  {
    path: '/boards/view',
    name: 'board',
    component: () => import('./BoardPage.vue'),
    meta: { title: 'shell.pages.boards' },
    beforeEnter: async (to) => {
      const { prepare } = await import('./opening')
      await prepare(to)
    },
  },
  // A short address, for links from elsewhere.
  { path: '/boards/:id', redirect: (to) => ({ path: '/boards/view', query: { ...to.query, id: to.params.id } }) },
] satisfies RouteRecordRaw[]
