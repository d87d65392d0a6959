/**
 * Addresses. Each folder of `pages/` has a `routes.ts` that exports its routes; nothing else names
 * them. `meta.nav` puts a route into the navigation, `meta.title` is a key of the texts. The project
 * is always in the address (`?project=`), so that a link says all.
 */
import { createRouter, createWebHistory, type RouteLocationNormalized, type RouteRecordRaw } from 'vue-router'

import type { Component } from 'vue'

import { i18n } from './i18n'
import { session, startSession } from './shell/session'

export type NavGroup = 'boards' | 'analysis' | 'people' | 'data' | 'settings'

declare module 'vue-router' {
  interface RouteMeta {
    /** Key of the page's name. */
    title?: string
    nav?: { group: NavGroup; order: number; icon?: Component }
    /** Without the shell: sign-in. */
    bare?: boolean
    /** Shown only to who may do this. */
    needs?: string
  }
}

const files = import.meta.glob<RouteRecordRaw[]>('./pages/*/routes.ts', { eager: true, import: 'default' })
export const pages: RouteRecordRaw[] = Object.values(files).flat()

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/sign-in', name: 'sign-in', component: () => import('./shell/SignIn.vue'), meta: { bare: true, title: 'shell.signIn' } },
    { path: '/password', name: 'password', component: () => import('./shell/ChangePassword.vue'), meta: { bare: true, title: 'shell.changePassword' } },
    { path: '/', redirect: '/boards' },
    ...pages,
    { path: '/:rest(.*)*', name: 'missing', component: () => import('./shell/MissingPage.vue'), meta: { title: 'shell.missing' } },
  ],
  scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path ? undefined : { top: 0 }),
})

/** The page's scripts come while we ask who is there. */
function fetchScripts(to: RouteLocationNormalized): void {
  for (const record of to.matched) {
    const page = record.components?.default
    if (typeof page === 'function') void (page as () => Promise<unknown>)().catch(() => undefined) // the router tells
  }
}

router.beforeEach(async (to) => {
  fetchScripts(to)
  if (to.name === 'sign-in') return true
  await startSession(typeof to.query.project === 'string' ? to.query.project : undefined)
  if (!session.me) return { name: 'sign-in', query: { to: to.fullPath } }
  if (session.me.must_change && to.name !== 'password') return { name: 'password', query: { to: to.fullPath } }
  if (to.name === 'password') return true
  if (session.project && to.query.project !== session.project) {
    return { ...to, query: { ...to.query, project: session.project }, replace: true }
  }
  return true
})

router.afterEach((to) => {
  const key = to.meta.title
  document.title = key ? `${i18n.global.t(key)} · Zuji` : 'Zuji'
})
