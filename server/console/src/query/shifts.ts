/** How far back a range is compared: `-7d`, `-1M`; as two fields of a form. */

export const SHIFT_UNITS = ['h', 'd', 'w', 'M', 'q', 'y'] as const

export function readShift(shift: string | null | undefined): { n: number; unit: string } | null {
  const match = /^-(\d+)([hdwMqy])$/.exec(shift ?? '')
  return match ? { n: Number(match[1]), unit: match[2]! } : null
}

export function shiftOf(n: number, unit: string): string {
  return `-${Math.max(1, Math.round(n))}${unit}`
}
