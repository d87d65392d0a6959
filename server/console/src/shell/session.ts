/** Who is signed in, what they may, and the project that is looked at. One for the page. */
import { computed, reactive } from 'vue'

import { context, get, post } from '@/api/client'
import { Problem } from '@/api/problems'
import type { Me } from '@/api/types'
import { languageChosen, setLanguage } from '@/i18n'

const PROJECT = 'zuji.project'

export const session = reactive({
  me: null as Me | null,
  project: '',
  started: false,
})

/** The zone of the project. */
export const zone = computed(
  () => session.me?.projects.find((one) => one.name === session.project)?.tz ?? 'UTC',
)

/** Whether the account may do `action` (`save`, `group`, `plan` …; docs/console.md). */
export function may(action: string): boolean {
  return session.me?.permissions.includes(action) ?? false
}

/** Looks once who we are; then keeps to the project that the address names. */
export async function startSession(project?: string): Promise<void> {
  if (!session.started) {
    try {
      await entered(await get<Me>('/v1/auth/me'))
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) {
        if (!(error instanceof Problem) || error.status === 0 || error.status >= 500) throw error
      }
    }
    session.started = true
  }
  if (session.me) choose(project)
}

async function entered(me: Me): Promise<void> {
  session.me = me
  context.csrf = me.csrf
  const wanted = me.account.language
  if (!languageChosen() && (wanted === 'zh' || wanted === 'en')) await setLanguage(wanted)
}

/** Makes `project` the one that is asked; without one, the last or the first there is. */
export function choose(project?: string): void {
  const names = session.me?.projects.map((one) => one.name) ?? []
  const wanted = [project, session.project, localStorage.getItem(PROJECT)].find((name) => name && names.includes(name))
  session.project = wanted ?? names[0] ?? ''
  context.project = session.project
  if (session.project) localStorage.setItem(PROJECT, session.project)
}

export async function signIn(login: string, password: string): Promise<void> {
  const answer = await post<{ csrf: string }>('/v1/auth/sign-in', { login, password })
  context.csrf = answer.csrf
  await entered(await get<Me>('/v1/auth/me'))
  session.started = true
  choose()
}

export async function signOut(everywhere = false): Promise<void> {
  await post(everywhere ? '/v1/auth/sign-out-everywhere' : '/v1/auth/sign-out')
  forget()
}

function forget(): void {
  session.me = null
  session.started = false
  context.csrf = ''
}

/** What to do when the API no longer knows us. */
export function whenSignedOut(leave: () => void): void {
  context.onSignedOut = () => {
    if (!session.me) return
    forget()
    leave()
  }
}
