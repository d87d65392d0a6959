/**
 * Light Markdown as a tree, never as HTML: `#` to `###`, lists, paragraphs, **bold**, *italic*, `code`
 * and links to http(s), mail or the console itself. All else is text.
 */
export type Span =
  | { kind: 'text' | 'bold' | 'italic' | 'code'; text: string }
  | { kind: 'link'; text: string; href: string }
export type Block = { kind: 'h2' | 'h3' | 'h4' | 'p'; spans: Span[] } | { kind: 'ul' | 'ol'; items: Span[][] }

const MARKS = /\*\*(.+?)\*\*|\*(.+?)\*|`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)/g

/** An address that may be followed; others stay text. */
export function safe(href: string): boolean {
  return /^(https?:\/\/|mailto:)/i.test(href) || (/^\/(?![/\\])/.test(href) && !/[\u0000-\u001f\\]/.test(href))
}

export function spans(text: string): Span[] {
  const found: Span[] = []
  let last = 0
  for (const match of text.matchAll(MARKS)) {
    if (match.index > last) found.push({ kind: 'text', text: text.slice(last, match.index) })
    const [whole, bold, italic, code, label, href] = match
    if (bold !== undefined) found.push({ kind: 'bold', text: bold })
    else if (italic !== undefined) found.push({ kind: 'italic', text: italic })
    else if (code !== undefined) found.push({ kind: 'code', text: code })
    else if (safe(href!)) found.push({ kind: 'link', text: label!, href: href! })
    else found.push({ kind: 'text', text: whole })
    last = match.index + whole.length
  }
  if (last < text.length) found.push({ kind: 'text', text: text.slice(last) })
  return found
}

export function blocks(text: string): Block[] {
  const made: Block[] = []
  let paragraph: string[] = []
  const end = () => {
    if (paragraph.length) made.push({ kind: 'p', spans: spans(paragraph.join('\n')) })
    paragraph = []
  }
  for (const line of text.split(/\r\n|\n|\r/)) {
    const head = /^(#{1,3})\s+(.*)$/.exec(line)
    const item = /^\s*([-*]|\d+[.)])\s+(.*)$/.exec(line)
    if (head) {
      end()
      made.push({ kind: (['h2', 'h3', 'h4'] as const)[head[1]!.length - 1]!, spans: spans(head[2]!) })
    } else if (item) {
      end()
      const kind = /\d/.test(item[1]!) ? 'ol' : 'ul'
      const before = made[made.length - 1]
      if (before && before.kind === kind) (before as { items: Span[][] }).items.push(spans(item[2]!))
      else made.push({ kind, items: [spans(item[2]!)] })
    } else if (!line.trim()) end()
    else paragraph.push(line)
  }
  end()
  return made
}
