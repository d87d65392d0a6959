import { Cpu, FolderOpened, Key, Setting, UserFilled } from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'

export default [
  { path: '/settings', redirect: '/settings/me' },
  {
    path: '/settings/projects',
    name: 'settings-projects',
    component: () => import('./ProjectsPage.vue'),
    meta: { title: 'settings.pages.projects', needs: 'projects', nav: { group: 'settings', order: 1, icon: FolderOpened } },
  },
  {
    path: '/settings/keys',
    name: 'settings-keys',
    component: () => import('./KeysPage.vue'),
    meta: { title: 'settings.pages.keys', needs: 'keys', nav: { group: 'settings', order: 2, icon: Key } },
  },
  {
    path: '/settings/accounts',
    name: 'settings-accounts',
    component: () => import('./AccountsPage.vue'),
    meta: { title: 'settings.pages.accounts', needs: 'accounts', nav: { group: 'settings', order: 3, icon: UserFilled } },
  },
  {
    path: '/settings/status',
    name: 'settings-status',
    component: () => import('./StatusPage.vue'),
    meta: { title: 'settings.pages.status', nav: { group: 'settings', order: 4, icon: Cpu } },
  },
  {
    path: '/settings/me',
    name: 'settings-me',
    component: () => import('./MePage.vue'),
    meta: { title: 'settings.pages.me', nav: { group: 'settings', order: 5, icon: Setting } },
  },
] satisfies RouteRecordRaw[]
