import { Bell, Coin, DataAnalysis, Files, Grid, VideoPlay } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  { path: '/data', redirect: '/data/events' },
  {
    path: '/data/events',
    name: 'data-events',
    component: () => import('./EventsPage.vue'),
    meta: { title: 'data.pages.events', nav: { group: 'data', order: 1, icon: Coin } },
  },
  {
    path: '/data/properties',
    name: 'data-properties',
    component: () => import('./PropertiesPage.vue'),
    meta: { title: 'data.pages.properties', nav: { group: 'data', order: 2, icon: Grid } },
  },
  {
    path: '/data/plan',
    name: 'data-plan',
    component: () => import('./PlanPage.vue'),
    meta: { title: 'data.pages.plan', nav: { group: 'data', order: 3, icon: Files } },
  },
  {
    path: '/data/quality',
    name: 'data-quality',
    component: () => import('./QualityPage.vue'),
    meta: { title: 'data.pages.quality', nav: { group: 'data', order: 4, icon: DataAnalysis } },
  },
  {
    path: '/data/quarantine',
    name: 'data-quarantine',
    component: () => import('./QuarantinePage.vue'),
    meta: { title: 'data.pages.quarantine', nav: { group: 'data', order: 5, icon: Bell } },
  },
  {
    path: '/data/live',
    name: 'data-live',
    component: () => import('./LivePage.vue'),
    meta: { title: 'data.pages.live', nav: { group: 'data', order: 6, icon: VideoPlay } },
  },
] satisfies RouteRecordRaw[]
