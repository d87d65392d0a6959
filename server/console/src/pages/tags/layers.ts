/** A drawing of what is made of what: in layers, parts on the left, crossings kept few by averages. */
import type { GraphDoc, NodeKind } from './tags'

export interface Drawn {
  kind: NodeKind
  name: string
  key: string
  layer: number
  x: number
  y: number
}
export interface Line {
  from: Drawn
  to: Drawn
}

export const BOX = { w: 170, h: 34, dx: 240, dy: 48 }
export const keyOf = (one: { kind: string; name: string }): string => `${one.kind}:${one.name}`

/** Nodes with places, and lines from a part to what is made of it. Nodes without lines are left out. */
export function drawing(graph: GraphDoc): { nodes: Drawn[]; lines: Line[]; width: number; height: number } {
  const reads = new Map<string, string[]>()
  const used = new Map<string, string[]>()
  for (const { of, reads: part } of graph.edges) {
    reads.set(keyOf(of), [...(reads.get(keyOf(of)) ?? []), keyOf(part)])
    used.set(keyOf(part), [...(used.get(keyOf(part)) ?? []), keyOf(of)])
  }
  const layers = new Map<string, number>()
  const depth = (key: string, path: Set<string> = new Set()): number => {
    const known = layers.get(key)
    if (known !== undefined) return known
    if (path.has(key)) return 0
    path.add(key)
    const own = Math.max(-1, ...(reads.get(key) ?? []).map((part) => depth(part, path))) + 1
    path.delete(key)
    layers.set(key, own)
    return own
  }
  const nodes: Drawn[] = graph.nodes
    .filter((one) => reads.has(keyOf(one)) || used.has(keyOf(one)))
    .map((one) => ({ ...one, key: keyOf(one), layer: depth(keyOf(one)), x: 0, y: 0 }))
  const columns: Drawn[][] = []
  for (const node of nodes) (columns[node.layer] ??= []).push(node)
  const row = new Map<string, number>()
  const number = (column: Drawn[]) => column.forEach((node, k) => row.set(node.key, k))
  columns.forEach(number)
  for (let round = 0; round < 6; round++) {
    const near = round % 2 ? used : reads
    for (const column of round % 2 ? [...columns].reverse() : columns) {
      const middle = (node: Drawn) => {
        const rows = (near.get(node.key) ?? []).map((key) => row.get(key)!)
        return rows.length ? rows.reduce((a, b) => a + b, 0) / rows.length : row.get(node.key)!
      }
      const order = new Map(column.map((node) => [node.key, middle(node)]))
      column.sort((a, b) => order.get(a.key)! - order.get(b.key)! || a.name.localeCompare(b.name))
      number(column)
    }
  }
  const most = Math.max(0, ...columns.map((column) => column.length))
  const high = most * BOX.dy
  columns.forEach((column, layer) =>
    column.forEach((node, k) => {
      node.x = layer * BOX.dx + 10
      node.y = (high - column.length * BOX.dy) / 2 + k * BOX.dy + 10
    }),
  )
  const by = new Map(nodes.map((node) => [node.key, node]))
  const lines = graph.edges.map(({ of, reads: part }) => ({ from: by.get(keyOf(part))!, to: by.get(keyOf(of))! }))
  return { nodes, lines, width: Math.max(1, columns.length) * BOX.dx - (BOX.dx - BOX.w) + 20, height: Math.max(high, BOX.dy) + 12 }
}
