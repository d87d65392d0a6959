/** Every parameter of a query by its place in the API's JSON Schema: `funnel.steps[].as`, `query.time.tz`. */
import schema from '@/api/schema.json'

interface Part {
  $ref?: string
  type?: string
  enum?: unknown[]
  const?: unknown
  anyOf?: Part[]
  properties?: Record<string, Part>
  items?: Part | boolean
}
const defs = schema.$defs as unknown as Record<string, Part>
/** What one control edits as a whole: filters and audiences have builders, lengths two fields. */
const WHOLE = new Set(['Filter', 'Audience', 'Measure', 'NumberOfUser', 'UserMeasure', 'EventProperty', 'EventNames', 'Duration', 'Window'])
/** Of the envelope: not asked for (`v`, `unit`), chosen above the page (`project`), or the page itself. */
const ELSEWHERE = new Set(['v', 'unit', 'project', 'model', 'body'])

const named = (part: Part) => part.$ref?.split('/').pop() ?? ''

function walk(part: Part, at: string, found: Set<string>): void {
  const name = named(part)
  if (WHOLE.has(name)) return void found.add(at)
  if (name) return walk(defs[name]!, at, found)
  if (part.anyOf) return part.anyOf.forEach((one) => walk(one, at, found))
  if (part.type === 'null') return
  if (part.properties) return Object.entries(part.properties).forEach(([key, one]) => walk(one, `${at}.${key}`, found))
  if (part.type === 'array' && typeof part.items === 'object') {
    const items = part.items
    const whole = !items.$ref && !items.anyOf && items.type !== 'object' && items.type !== 'array'
    return whole ? void found.add(at) : walk(items, `${at}[]`, found)
  }
  found.add(at)
}

export function parametersOf(model: string): string[] {
  const body = Object.values(defs).find((one) => one.properties?.model?.enum?.[0] === model)!.properties!.body!
  const found = new Set<string>()
  walk(body, model, found)
  return [...found]
}

export function parametersOfEnvelope(): string[] {
  const found = new Set<string>()
  const { properties } = defs.FunnelQuery!
  for (const [name, part] of Object.entries(properties!)) if (!ELSEWHERE.has(name)) walk(part, `query.${name}`, found)
  return [...found]
}
