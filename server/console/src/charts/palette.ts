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

/** Ground and ink of a cell of a table, for a share of 0 … 1. */
export function shade(share: number, dark: boolean): { background: string; color: string } {
  const at = Math.max(0, Math.min(1, share))
  const alpha = 0.06 + 0.86 * Math.sqrt(at)
  const ground = dark ? [63, 127, 214] : [29, 95, 191]
  // White on blue from where its contrast is enough; dark ink before that.
  const light = dark ? alpha > 0.3 : alpha > 0.62
  return { background: `rgba(${ground.join(',')},${(dark ? alpha * 0.75 : alpha).toFixed(3)})`, color: light ? '#ffffff' : dark ? '#e6eaf0' : '#1c2430' }
}
