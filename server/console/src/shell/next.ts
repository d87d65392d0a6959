/** Where somebody came from who had to sign in first; only inside of the console. */
import type { RouteLocationNormalizedLoaded } from 'vue-router'

export function nextOf(route: RouteLocationNormalizedLoaded): string {
  const to = route.query.to
  return typeof to === 'string' && /^\/(?!\/)/.test(to) ? to : '/'
}
