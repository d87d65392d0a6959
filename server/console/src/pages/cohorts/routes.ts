import { Aim } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  {
    path: '/cohorts',
    name: 'cohorts',
    component: () => import('./IndexPage.vue'),
    meta: { title: 'shell.pages.cohorts', nav: { group: 'people', order: 2, icon: Aim } },
  },
] satisfies RouteRecordRaw[]
