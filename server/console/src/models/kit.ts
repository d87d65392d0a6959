/** What a model brings: its beginning, its form, its pictures, and which cells have users behind them. */
import type { Component } from 'vue'

import type { Answer, Cell, Column, Grain, Model, Pick, QueryDoc, Row } from '@/api/types'

/** Free JSON of the console that belongs to a query: which picture, and what is chosen in it. */
export interface View {
  chart?: string
  [more: string]: unknown
}

/** What every component of pictures is given; `height` and `compact` on boards. */
export interface PictureProps {
  answer: Answer
  chart: string
  compact?: boolean
  height?: number
}

/** What it tells: the users behind a number are wanted. */
export interface PictureEmits {
  users: [pick: Pick, title: string]
}

export interface Kit {
  model: Model
  /** A body to begin with; an event that the project has, or ''. */
  body(event: string): unknown
  /** Key of a text that says what is still to be chosen; '' when the query can be asked. */
  missing(query: QueryDoc): string
  grains: Grain[]
  grain?: Grain
  compare: boolean
  /** Null: no breakdowns. */
  by: { scope: 'event' | 'user' | 'both'; most: number; attr?: 'steps' | 'ends' } | null
  /** Whether a filter of events (`where`) makes sense now. */
  where(query: QueryDoc): boolean
  /** Kinds of picture, the first is the usual one. */
  charts(query: QueryDoc): string[]
  form: () => Promise<{ default: Component }>
  pictures: () => Promise<{ default: Component }>
  /** The pick of a cell that counts users; null for other cells. */
  pick(row: Row, column: Column, query: QueryDoc): Pick | null
  /** What a column is called; undefined: as anywhere (`fields.…`). */
  columnName?(column: Column, query: QueryDoc): string | undefined
  /** What a cell says; undefined: as anywhere. */
  cellText?(value: Cell, column: Column, query: QueryDoc): string | undefined
}

/** Whether some events are chosen. */
export function chosen(part: { e?: string | string[] | null } | null | undefined): boolean {
  return !!part?.e && part.e.length > 0
}

export const ALL_GRAINS: Grain[] = ['hour', 'day', 'week', 'month', 'quarter', 'year', 'all']
