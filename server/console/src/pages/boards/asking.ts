/** What a card asks: its own query under the board's dates and filter; and the figure of an answer. */
import type { Answer, Cell, Column, FilterDoc, QueryDoc } from '@/api/types'
import { KITS } from '@/models/kits'
import { daysOf, resolved } from '@/query/presets'

import type { Card, Shared } from './boards'

/** A query with the dates and the filter that all cards of a board share. */
export function under(query: QueryDoc, time: Shared | null, where: FilterDoc | null): QueryDoc {
  const made: QueryDoc = { ...query }
  if (time?.from && time.to) made.time = { ...query.time, from: time.from, to: time.to }
  if (where) made.where = query.where ? { all: [query.where, where] } : where
  return made
}

/** The same for one figure: all of the range in one, beside the period before. */
export function asFigure(query: QueryDoc, zone: string, now = Date.now()): QueryDoc {
  const made: QueryDoc = { ...query }
  const kit = KITS[query.model]
  delete made.by
  if (kit.grains.includes('all')) made.time = { ...query.time, grain: 'all' }
  if (kit.compare && !query.compare?.shift && !query.compare?.audience) {
    const dates = resolved(query.time ?? {}, zone, now)
    if (dates) made.compare = { shift: `-${daysOf(dates)}d` }
  }
  return made
}

export interface Figure {
  column: Column
  /** Of the event model: which series. */
  series?: string
  value: number | null
  previous: number | null
}

type Part = { columns?: string[]; rows?: Cell[][]; previous?: Part }

/** All single figures that an answer has: numbers of its totals, else of its first row. */
export function figuresOf(answer: Answer): Figure[] {
  const totals = answer.totals as Part | null
  if (totals?.columns && totals.rows?.length) {
    const { columns, rows } = totals
    const series = columns.indexOf('series')
    const found: Figure[] = []
    for (const row of rows) {
      const name = series < 0 ? undefined : String(row[series])
      const before = totals.previous?.rows?.find((one) => series < 0 || one[series] === row[series])
      columns.forEach((column, k) => {
        const value = row[k]
        if (k === series || (typeof value !== 'number' && value !== null)) return
        const known = answer.columns.find((one) => one.name === column)
        found.push({
          column: known ?? { name: column, type: 'float64', unit: /rate|share|ratio/.test(column) ? 'ratio' : null },
          series: name,
          value: value as number | null,
          previous: (before?.[k] as number | null | undefined) ?? null,
        })
      })
    }
    if (found.length) return found
  }
  const ranges = answer.columns.findIndex((one) => one.name === 'range')
  const row = answer.rows.find((one) => ranges < 0 || one[ranges] === 'current')
  const before = ranges < 0 ? undefined : answer.rows.find((one) => one[ranges] !== 'current')
  if (!row) return []
  return answer.columns
    .map((column, k) => ({ column, value: row[k] as Cell, previous: (before?.[k] ?? null) as Cell }))
    .filter(({ column, value }) => /int|float/.test(column.type) && !['step', 'period'].includes(column.name) && (typeof value === 'number' || value === null))
    .map(({ column, value, previous }) => ({ column, value: value as number | null, previous: typeof previous === 'number' ? previous : null }))
}

/** The figure that a card shows. */
export function figureOf(answer: Answer, view: Card['view']): Figure | undefined {
  const all = figuresOf(answer)
  return all.find((one) => one.column.name === view?.column && (!view.series || one.series === view.series)) ?? all[0]
}
