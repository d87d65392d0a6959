/** How two or three sets lie to each other: the sizes of all regions, their rules, and a picture. */
import type { AudienceDoc } from '@/api/types'

import type { Overlap } from './cohorts'

export interface Region {
  /** Names of the cohorts that its users are in; they are in none of the others. */
  inside: string[]
  users: number
}

/** All regions but the outside, those of most cohorts first. Their sizes sum to `any`. */
export function regionsOf(names: string[], found: Overlap): Region[] {
  const regions: Region[] = [{ inside: names, users: found.all }]
  if (names.length === 3) {
    for (const pair of found.pairs) regions.push({ inside: [pair.first, pair.second], users: pair.both - found.all })
  }
  for (const name of names) regions.push({ inside: [name], users: found.only[name] ?? 0 })
  return regions
}

/** The rule of a region: in all of these, in none of those. */
export function ruleOf(inside: string[], names: string[]): AudienceDoc {
  const parts: AudienceDoc[] = inside.map((cohort) => ({ cohort }))
  for (const cohort of names) if (!inside.includes(cohort)) parts.push({ not: { cohort } })
  return parts.length === 1 ? parts[0]! : { all: parts }
}

export interface Circle {
  x: number
  y: number
  r: number
}

/** Area that two circles have in common. */
export function lens(a: number, b: number, d: number): number {
  if (d >= a + b) return 0
  if (d <= Math.abs(a - b)) return Math.PI * Math.min(a, b) ** 2
  const alpha = Math.acos((a * a + d * d - b * b) / (2 * a * d))
  const beta = Math.acos((b * b + d * d - a * a) / (2 * b * d))
  return a * a * (alpha - Math.sin(2 * alpha) / 2) + b * b * (beta - Math.sin(2 * beta) / 2)
}

/** Distance of two circles whose common area is `area`; by halving, to a thousandth. */
export function distance(a: number, b: number, area: number): number {
  if (area <= 0) return a + b + 6
  let low = Math.abs(a - b)
  let high = a + b
  for (let k = 0; k < 40; k++) {
    const middle = (low + high) / 2
    if (lens(a, b, middle) > area) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** Circles in a box of 400 × 280. Two are true to scale; three show which regions there are. */
export function circles(names: string[], found: Overlap): Circle[] {
  if (names.length === 3) {
    return [{ x: 155, y: 105, r: 88 }, { x: 245, y: 105, r: 88 }, { x: 200, y: 182, r: 88 }]
  }
  const sizes = names.map((name) => found.users[name] ?? 0)
  const most = Math.max(...sizes, 1)
  const radii = sizes.map((size) => Math.max(8, 100 * Math.sqrt(size / most)))
  const [a, b] = [radii[0]!, radii[1]!]
  const d = distance(a, b, (found.all / most) * Math.PI * 10_000)
  const left = (400 - (a + d + b)) / 2
  return [{ x: left + a, y: 140, r: a }, { x: left + a + d, y: 140, r: b }]
}

/** Where a region's number stands among three circles, by which it is inside of. */
const PLACES: Record<string, [number, number]> = {
  '0': [115, 85], '1': [285, 85], '2': [200, 232], '0,1': [200, 68], '0,2': [148, 162], '1,2': [252, 162], '0,1,2': [200, 130],
}

/** Places of the numbers, as the regions come. */
export function places(names: string[], regions: Region[], drawn: Circle[]): [number, number][] {
  if (names.length === 3) return regions.map((one) => PLACES[one.inside.map((name) => names.indexOf(name)).join()]!)
  const [a, b] = drawn as [Circle, Circle]
  const left = Math.max(a.x - a.r, b.x - b.r)
  const right = Math.min(a.x + a.r, b.x + b.r)
  return [
    [(left + right) / 2, 140],
    [(a.x - a.r + Math.min(a.x + a.r, b.x - b.r)) / 2, 140],
    [(b.x + b.r + Math.max(b.x - b.r, a.x + a.r)) / 2, 140],
  ]
}
