/** Colours of charts in both appearances; neighbours differ in lightness, too. */
export const SERIES_LIGHT = ['#1d5fbf', '#e07b00', '#17794a', '#b3261e', '#7a4fc4', '#0e8fa3', '#a85a8b', '#6b7482', '#a88a00', '#3c4a9e']
export const SERIES_DARK = ['#7fb0ff', '#ffb454', '#5fc995', '#ff8a80', '#b79cf2', '#56c8d8', '#e39cc6', '#a3adbb', '#dcc44e', '#9aa7f0']

export interface Inks {
  series: string[]
  ink: string
  muted: string
  line: string
  panel: string
  /** From none to most. */
  scale: string[]
}

export function inks(dark: boolean): Inks {
  return dark
    ? { series: SERIES_DARK, ink: '#e6eaf0', muted: '#a3adbb', line: '#303947', panel: '#1a2029', scale: ['#1d2736', '#1f4a85', '#3f7fd6', '#9cc4ff'] }
    : { series: SERIES_LIGHT, ink: '#1c2430', muted: '#5b6472', line: '#dfe3ea', panel: '#ffffff', scale: ['#eef3fb', '#a9c6ee', '#4a86d6', '#123f85'] }
}

const PANELS = { light: [255, 255, 255], dark: [26, 32, 41] }

/** Relative luminance of a colour (WCAG 2). */
function luminance(rgb: number[]): number {
  const [r, g, b] = rgb.map((one) => (one / 255 <= 0.03928 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4)) as [number, number, number]
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

/** Ground and ink of a cell of a table, for a share of 0 … 1: the ink that can be read better. */
export function shade(share: number, dark: boolean): { background: string; color: string } {
  const at = Math.max(0, Math.min(1, share))
  const alpha = 0.06 + 0.8 * Math.sqrt(at)
  const over = dark ? [96, 156, 255] : [29, 95, 191]
  const under = dark ? PANELS.dark : PANELS.light
  const ground = over.map((one, k) => Math.round(one * alpha + under[k]! * (1 - alpha)))
  const light = luminance(ground) + 0.05
  return { background: `rgb(${ground.join(',')})`, color: 1.05 / light > light / 0.05 ? '#ffffff' : '#000000' }
}
