/** Events as they come: the newest kept, the newest first; while paused they wait out of sight. */

export interface Note {
  code: string
  path: string
  severity: string
}
export interface Told {
  key: number
  outcome: 'stored' | 'rejected' | 'repeat'
  received_ms: number
  event: { event?: string; user_id?: string; device_id?: string; properties?: Record<string, unknown> } | null
  notes?: Note[]
  code?: string
  path?: string
  message?: string
}

/** Kept on the page; older ones go. */
export const MOST = 300

/** Shown after `more` came, the last of them on top. */
export const onTop = (rows: readonly Told[], more: readonly Told[]): Told[] => [...[...more].reverse(), ...rows].slice(0, MOST)

/** Waiting after `one` came; no more than could be shown. */
export const held = (waiting: readonly Told[], one: Told): Told[] => [...waiting, one].slice(-MOST)

export const countsOf = (rows: readonly Told[]) => ({
  stored: rows.filter((one) => one.outcome === 'stored').length,
  rejected: rows.filter((one) => one.outcome === 'rejected').length,
})

/** Whom to listen to: a device, a user, or (empty) everybody. */
export const listenTo = (kind: 'device' | 'user', id: string): Record<string, string> => (id.trim() ? { [kind]: id.trim() } : {})
