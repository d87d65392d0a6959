/** Stacks of the range that is compared, beside those of the range: on the same places, paler. */
import type { Row } from '@/api/types'
import { SERIES_DARK, SERIES_LIGHT } from '@/charts/palette'
import { dark } from '@/shell/appearance'

import { distinct } from './rows'

interface Pivoted {
  name: string
  values: (number | null)[]
  rows: (Row | undefined)[]
}

/** `key`: what a series is but for its range; both ranges of it have one colour. */
export function beside<T extends Pivoted>(now: T[], before: T[], key: (row: Row) => string): (T & { stack?: string; colour?: string })[] {
  if (!before.length) return now
  const places = Math.max(0, ...now.map((one) => one.values.length))
  const keyOf = (one: T) => key(one.rows.find((row) => row)!)
  const keys = distinct([...now, ...before].map(keyOf))
  const colours = dark.value ? SERIES_DARK : SERIES_LIGHT
  const inked = (one: T, compared: boolean) => {
    const colour = colours[keys.indexOf(keyOf(one)) % colours.length]!
    return { ...one, values: one.values.slice(0, places), rows: one.rows.slice(0, places), stack: compared ? 'before' : 'now', colour: compared ? `${colour}80` : colour }
  }
  return [...now.map((one) => inked(one, false)), ...before.map((one) => inked(one, true))]
}
