import { PriceTag } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  {
    path: '/tags',
    name: 'tags',
    component: () => import('./ListPage.vue'),
    meta: { title: 'shell.pages.tags', nav: { group: 'people', order: 3, icon: PriceTag } },
  },
  { path: '/tags/edit', name: 'tag-edit', component: () => import('./EditPage.vue'), meta: { title: 'tags.build' } },
  { path: '/tags/view', name: 'tag', component: () => import('./TagPage.vue'), meta: { title: 'shell.pages.tags' } },
  { path: '/tags/graph', name: 'tag-graph', component: () => import('./GraphPage.vue'), meta: { title: 'tags.graph' } },
  // A short address, for links from elsewhere.
  { path: '/tags/:name', redirect: (to) => ({ path: '/tags/view', query: { ...to.query, name: to.params.name } }) },
] satisfies RouteRecordRaw[]
