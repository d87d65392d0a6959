import { User } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  {
    path: '/users',
    name: 'users',
    component: () => import('./IndexPage.vue'),
    meta: { title: 'shell.pages.users', nav: { group: 'people', order: 1, icon: User } },
  },
] satisfies RouteRecordRaw[]
