import { PriceTag } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  {
    path: '/tags',
    name: 'tags',
    component: () => import('./IndexPage.vue'),
    meta: { title: 'shell.pages.tags', nav: { group: 'people', order: 3, icon: PriceTag } },
  },
] satisfies RouteRecordRaw[]
