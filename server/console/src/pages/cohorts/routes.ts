import { Aim } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  {
    path: '/cohorts',
    name: 'cohorts',
    component: () => import('./ListPage.vue'),
    meta: { title: 'shell.pages.cohorts', nav: { group: 'people', order: 2, icon: Aim } },
  },
  { path: '/cohorts/edit', name: 'cohort-edit', component: () => import('./EditPage.vue'), meta: { title: 'cohorts.build' } },
  { path: '/cohorts/view', name: 'cohort', component: () => import('./CohortPage.vue'), meta: { title: 'shell.pages.cohorts' } },
  { path: '/cohorts/compare', name: 'cohort-compare', component: () => import('./ComparePage.vue'), meta: { title: 'cohorts.compare' } },
  // A short address, for links from elsewhere.
  { path: '/cohorts/:name', redirect: (to) => ({ path: '/cohorts/view', query: { ...to.query, name: to.params.name } }) },
] satisfies RouteRecordRaw[]
