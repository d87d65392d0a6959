/** Lists to choose from, and searching them: 2,000 entries in well under a frame. */

export interface Option {
  value: string
  label: string
  /** Another name, shown smaller. */
  sub?: string
  hint?: string
  tag?: string
  title?: string
  disabled?: boolean
}

const lowered = new WeakMap<Option, string>()

function lower(option: Option): string {
  let text = lowered.get(option)
  if (text === undefined) {
    text = `${option.label}\n${option.value}\n${option.sub ?? ''}`.toLowerCase()
    lowered.set(option, text)
  }
  return text
}

/** Those that have all words of `text`; names that begin with it first, else in their order. */
export function found(options: Option[], text: string): Option[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  if (!words.length) return options
  const some = options.filter((one) => words.every((word) => lower(one).includes(word)))
  const begins = (one: Option) => (lower(one).startsWith(words[0]!) ? 0 : 1)
  return some.map((one, k) => [begins(one), k, one] as const).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, , one]) => one)
}
