/** Properties that a funnel holds: `["event.a", [{"step": 1, "p": "event.b"}, …]]`, and as its form has them. */

export interface HoldStep {
  step: number
  p: string
}
export type Hold = string | HoldStep[]
export type Held = string | Record<string, string>

/** Names a step, by the step's number. */
export function heldOf(hold: readonly Hold[]): Held[] {
  return hold.map((one) => (typeof one === 'string' ? one : Object.fromEntries(one.map(({ step, p }) => [String(step), p]))))
}

export function holdOf(held: readonly Held[]): Hold[] {
  return held.map((one) => (typeof one === 'string' ? one : Object.entries(one).map(([step, p]) => ({ step: Number(step), p }))))
}
