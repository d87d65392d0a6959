/** Models of credit: words, and those with weights of their own. */

export interface Position {
  position: number[]
}
export interface Decay {
  time_decay: { n: number; unit: string }
}
export type Credit = string | Position | Decay

/** Percents of first, middle and last: what is not given to the ends is the middle's. */
export function positions(first: number, last: number): number[] {
  const low = Math.min(100, Math.max(0, Math.round(first)))
  const high = Math.min(100 - low, Math.max(0, Math.round(last)))
  return [low, 100 - low - high, high]
}
