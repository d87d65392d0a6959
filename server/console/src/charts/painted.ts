/**
 * A part of the page as a PNG: grounds, borders of nothing, texts, canvases and SVG rectangles are
 * painted where they stand. Enough for tables, funnels, tiles and charts; no library, no network.
 */
const SCALE = 2
const MARGIN = 12
/** Pixels of a side; browsers refuse larger canvases. */
const MOST = 8000

export function painted(root: HTMLElement): string | undefined {
  const origin = root.getBoundingClientRect()
  const all = [...root.querySelectorAll<HTMLElement | SVGElement>('*')].filter((one) => !one.closest('.hidden-text'))
  const boxes = all.map((one) => one.getBoundingClientRect())
  const width = Math.min(MOST, Math.max(origin.width, ...boxes.map((one) => one.right - origin.left)) + 2 * MARGIN)
  const height = Math.min(MOST, Math.max(origin.height, ...boxes.map((one) => one.bottom - origin.top)) + 2 * MARGIN)
  if (!all.length || width < 2 || height < 2) return undefined
  const canvas = document.createElement('canvas')
  canvas.width = width * SCALE
  canvas.height = height * SCALE
  const pen = canvas.getContext('2d')!
  pen.scale(SCALE, SCALE)
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--panel').trim() || '#fff'
  pen.fillRect(0, 0, width, height)
  pen.translate(MARGIN - origin.left, MARGIN - origin.top)
  all.forEach((one, k) => paint(pen, one, boxes[k]!))
  return canvas.toDataURL('image/png')
}

function paint(pen: CanvasRenderingContext2D, one: HTMLElement | SVGElement, box: DOMRect): void {
  if (!box.width || !box.height) return
  const style = getComputedStyle(one)
  if (style.visibility === 'hidden') return
  if (one instanceof HTMLCanvasElement) {
    pen.drawImage(one, box.left, box.top, box.width, box.height)
    return
  }
  const fill = one instanceof SVGElement ? (one.tagName === 'rect' ? style.fill : '') : style.backgroundColor
  if (fill && fill !== 'none' && !/rgba\(.*, 0\)|transparent/.test(fill)) {
    pen.fillStyle = fill
    pen.fillRect(box.left, box.top, box.width, box.height)
  }
  for (const node of one.childNodes) if (node.nodeType === Node.TEXT_NODE && node.textContent?.trim()) write(pen, node as Text, style)
}

function write(pen: CanvasRenderingContext2D, text: Text, style: CSSStyleDeclaration): void {
  const range = document.createRange()
  pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`
  pen.fillStyle = style.color
  pen.textBaseline = 'middle'
  // A line at a time: letters that stand at one height belong together.
  const whole = text.data
  let from = 0
  while (from < whole.length) {
    range.setStart(text, from)
    range.setEnd(text, from + 1)
    const first = range.getBoundingClientRect()
    let to = from + 1
    while (to < whole.length) {
      range.setStart(text, to)
      range.setEnd(text, to + 1)
      const next = range.getBoundingClientRect()
      if (next.width && Math.abs(next.top - first.top) > 2) break
      to++
    }
    if (first.height) pen.fillText(whole.slice(from, to).replace(/\s+/g, ' ').trimEnd(), first.left, first.top + first.height / 2)
    from = to
  }
}
