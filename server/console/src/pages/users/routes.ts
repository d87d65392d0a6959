import { User } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  {
    path: '/users',
    name: 'users',
    component: () => import('./SearchPage.vue'),
    meta: { title: 'shell.pages.users', nav: { group: 'people', order: 1, icon: User } },
  },
  {
    path: '/users/timeline',
    name: 'user',
    component: () => import('./UserPage.vue'),
    meta: { title: 'users.one' },
  },
] satisfies RouteRecordRaw[]
