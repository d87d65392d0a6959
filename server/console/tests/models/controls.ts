/**
 * Which control edits which parameter: found by its label (a key of the texts) or by its kind and
 * place, given a value, it must change the query where `at` says. Parameters of parameters.ts.
 */

export interface Control {
  /** Key of the label; or a component's name and its place among those. */
  find: string | [component: string, nth: number]
  /** For the label. */
  words?: Record<string, unknown>
  /** Follows the label: "自定义名称 1". */
  after?: string
  give: unknown
  /** What then stands there; `give` itself if left out. */
  see?: unknown
  /** Where in the body (or the query); the parameter's own place with 0 for each list if left out. */
  at?: string
  /** What the body (or the query) must have for the control to be there. */
  has?: Record<string, unknown>
}

const PAY = { e: 'pay' }
const WHERE = { p: 'event.city', op: 'in', v: ['a'] }
/** Events and their filter, at the nth place of a form. */
const line = (path: string, nth: number, has?: Record<string, unknown>, at?: string): Record<string, Control> => ({
  [`${path}.e`]: { find: ['EventPicker', nth], give: 'login', has, at: at && `${at}.e` },
  [`${path}.where`]: { find: ['FilterBuilder', nth], give: WHERE, has, at: at && `${at}.where` },
})
const NUMBER = 'event.amount'

export const CONTROLS: Record<string, Control> = {
  // ---- the envelope
  'query.time.from': { find: ['DateRange', 0], give: { from: '-7d', to: 'today' }, see: '-7d' },
  'query.time.to': { find: ['DateRange', 0], give: { from: '-7d', to: 'yesterday' }, see: 'yesterday' },
  'query.time.tz': { find: 'query.zone', give: 'Asia/Tokyo' },
  'query.time.grain': { find: 'query.grain', give: 'week' },
  'query.time.week_start': { find: 'query.weekStart', give: 7 },
  'query.where': { find: ['FilterBuilder', 0], give: WHERE },
  'query.audience': { find: ['AudienceBuilder', 0], give: { cohort: 'a' } },
  'query.by[].p': { find: ['PropertyPicker', 0], give: 'user.level', has: { by: [{ p: 'user.city' }] } },
  'query.by[].attr': { find: 'query.attr', give: 'last', has: { by: [{ p: 'event.city' }] } },
  'query.by[].attr.step': { find: 'query.attr', give: '2', see: 2, has: { by: [{ p: 'event.city' }] } },
  'query.by[].as_of': { find: 'query.asOf', give: 'event', has: { by: [{ p: 'user.city' }] } },
  'query.by[].buckets[]': { find: ['EdgesInput', 0], give: [10], at: 'by.0.buckets', has: { by: [{ p: 'user.age' }] } },
  'query.top.n': { find: 'query.top', give: 5, has: { by: [{ p: 'user.city' }] } },
  'query.top.other': { find: 'query.other', give: false, has: { by: [{ p: 'user.city' }] } },
  'query.compare.shift': { find: 'query.compareBack', give: 3, see: '-3d' },
  'query.compare.audience': { find: ['AudienceBuilder', 0], give: { cohort: 'b' } },
  // ---- event
  ...line('event.series[]', 0),
  'event.series[].measure': { find: 'query.measure', give: 'users' },
  'event.series[].as': { find: 'models.event.label', give: 'mine', has: { series: [{ ...PAY, as: '' }] } },
  'event.series[].cumulative': { find: ['ElDropdown', 0], give: 'cumulative', see: true },
  'event.series[].moving_average': { find: 'models.event.average', give: 14, has: { series: [{ ...PAY, moving_average: 7 }] } },
  'event.formula[].expr': { find: 'models.event.formula', give: 'A * 2', has: { formula: [{ expr: 'A' }] } },
  'event.formula[].as': { find: 'models.event.label', give: 'twice', has: { formula: [{ expr: 'A' }] } },
  'event.session.gap': { find: 'models.session.gap', give: { n: 5, unit: 'minute' } },
  // ---- funnel
  ...line('funnel.steps[]', 0),
  'funnel.steps[].as': { find: 'models.funnel.stepName', after: ' 1', give: 'first', has: { steps: [{ ...PAY, as: '' }, { e: 'b' }] } },
  'funnel.steps[].optional': { find: 'models.funnel.optional', give: true, at: 'steps.1.optional' },
  'funnel.window': { find: 'models.funnel.window', give: { unit: 'same_day' } },
  'funnel.order': { find: 'models.funnel.order', give: 'strict' },
  'funnel.entry': { find: 'models.funnel.entry', give: 'first' },
  'funnel.count': { find: 'models.funnel.count', give: 'sessions' },
  'funnel.ties': { find: 'models.funnel.ties', give: 'any' },
  'funnel.hold[]': { find: ['HeldProperties', 0], give: ['event.product'], see: 'event.product' },
  'funnel.hold[][].step': { find: ['HeldProperties', 0], give: [{ 1: 'event.a', 2: 'event.b' }], see: 1 },
  'funnel.hold[][].p': { find: ['HeldProperties', 0], give: [{ 1: 'event.a', 2: 'event.b' }], see: 'event.a' },
  ...line('funnel.exclude[]', 1, { steps: [PAY, { e: '' }], exclude: [PAY] }),
  'funnel.exclude[].e': { find: ['EventPicker', 2], give: 'login', has: { exclude: [PAY] } },
  'funnel.exclude[].between': { find: 'models.funnel.betweenTo', give: 2, see: [1, 2], has: { steps: [PAY, { e: 'b' }, { e: 'c' }], exclude: [PAY] } },
  'funnel.exclude[].on': { find: 'models.funnel.excludeHow', give: 'remove', has: { exclude: [PAY] } },
  'funnel.measure[]': { find: 'models.percentiles', give: [95], see: ['ttc_median', 'ttc_p95'], at: 'measure' },
  'funnel.measure[].sum': { find: 'models.funnel.sum', give: NUMBER, has: { measure: [{ sum: '' }] } },
  'funnel.measure[].step': { find: 'models.funnel.sumAt', give: 2, has: { measure: [{ sum: NUMBER }] } },
  'funnel.trend': { find: 'models.funnel.trend', give: true },
  'funnel.session.gap': { find: 'models.session.gap', give: { n: 5, unit: 'minute' } },
  // ---- retention
  ...line('retention.start', 0),
  ...line('retention.return', 1),
  'retention.periods': { find: 'models.retention.periods', give: 14 },
  'retention.cohort': { find: 'models.retention.cohort', give: 'recurring' },
  'retention.mode': { find: 'models.retention.mode', give: 'rolling' },
  'retention.criterion': { find: 'models.retention.criterion', give: 'consecutive' },
  'retention.criterion.bracket[]': { find: ['ElInput', -1], give: '1-3, 4-6', see: [[1, 3], [4, 6]], at: 'criterion.bracket', has: { criterion: { bracket: [[1, 7]] } } },
  'retention.churn': { find: 'models.retention.churn', give: true },
  ...line('retention.measure.count', 2, { measure: { count: PAY } }),
  ...line('retention.measure', 2, { measure: { sum: NUMBER, ...PAY } }),
  'retention.measure.sum': { find: ['MeasurePicker', 0], give: { sum: NUMBER }, see: NUMBER, has: { measure: { count: PAY } } },
  'retention.measure.avg': { find: ['MeasurePicker', 0], give: { avg: NUMBER }, see: NUMBER, has: { measure: { count: PAY } } },
  // ---- path
  ...line('path.events[]', 0, { events: [PAY] }),
  ...line('path.exclude[]', 0, { events: [{ e: '' }], exclude: [PAY] }),
  'path.exclude[].e': { find: ['EventPicker', 1], give: 'login', has: { exclude: [PAY] } },
  ...line('path.start', 0, { start: PAY }),
  ...line('path.end', 0, { end: PAY }),
  'path.nodes[].e': { find: ['EventPicker', 1], give: 'login', has: { nodes: [{ e: 'pay', p: '' }] } },
  'path.nodes[].p': { find: ['PropertyPicker', -1], give: 'event.city', has: { nodes: [{ e: 'pay', p: '' }] } },
  'path.collapse': { find: 'models.path.collapse', give: false },
  'path.max_steps': { find: 'models.path.steps', give: 9 },
  'path.max_nodes': { find: 'models.path.nodes', give: 9 },
  'path.count': { find: 'models.path.count', give: 'users' },
  'path.session.gap': { find: 'models.session.gap', give: { n: 5, unit: 'minute' } },
  // ---- distribution
  'distribution.e': { find: ['EventPicker', 0], give: 'login' },
  'distribution.where': { find: ['FilterBuilder', 0], give: WHERE },
  'distribution.measure': { find: 'query.measure', give: 'active_days' },
  'distribution.buckets': { find: 'models.distribution.bands', give: 'auto', has: { buckets: [1] } },
  'distribution.buckets[]': { find: ['EdgesInput', 0], give: [3, 9], at: 'buckets', has: { buckets: [1] } },
  'distribution.buckets.width': { find: 'models.distribution.bandKinds.width', give: 5, has: { buckets: { width: 1 } } },
  'distribution.zero': { find: 'models.distribution.zero', give: 'all' },
  // ---- interval
  ...line('interval.start', 0),
  ...line('interval.end', 1, { end: PAY }),
  'interval.nearest': { find: 'models.interval.nearest', give: 'end' },
  'interval.cap': { find: ['LengthInput', 0], give: { n: 2, unit: 'hour' } },
  'interval.hold[]': { find: ['HeldProperties', 0], give: ['event.product'], see: 'event.product' },
  'interval.hold[].start': { find: ['HeldProperties', 0], give: [{ start: 'event.a', end: 'event.b' }], see: 'event.a' },
  'interval.hold[].end': { find: ['HeldProperties', 0], give: [{ start: 'event.a', end: 'event.b' }], see: 'event.b' },
  'interval.ties': { find: 'models.funnel.ties', give: 'strict' },
  'interval.since': { find: 'models.interval.since', give: 'ever' },
  'interval.over': { find: 'models.interval.over', give: 'users' },
  'interval.percentiles': { find: 'models.percentiles', give: [90, 99] },
  'interval.histogram': { find: 'models.interval.bars', give: 'auto', has: { histogram: [1000] } },
  'interval.histogram[]': { find: ['LengthEdges', 0], give: [1000, 60_000], at: 'histogram', has: { histogram: [1000] } },
  // ---- attribution
  ...line('attribution.target', 0),
  'attribution.target.value': { find: 'models.attribution.value', give: NUMBER },
  ...line('attribution.touches[]', 1, { touches: [PAY] }),
  'attribution.touches[].as': { find: 'models.attribution.touchName', after: ' 1', give: 'ad', has: { touches: [{ ...PAY, as: '' }] } },
  'attribution.touches[].name': { find: 'models.attribution.detail', give: 'event.campaign' },
  'attribution.touches[].direct': { find: 'models.attribution.direct', give: true },
  'attribution.lookback': { find: 'models.attribution.lookback', give: { n: 2, unit: 'week' } },
  'attribution.models[]': { find: 'models.attribution.models', give: ['last'], see: ['last'], at: 'models' },
  'attribution.models[].position': { find: 'models.attribution.positionFirst', give: 10, see: [10, 60, 30], has: { models: [{ position: [30, 40, 30] }] } },
  'attribution.models[].time_decay.n': { find: 'models.attribution.decay', give: { n: 2, unit: 'hour' }, see: 2, has: { models: [{ time_decay: { n: 3, unit: 'day' } }] } },
  'attribution.models[].time_decay.unit': { find: 'models.attribution.decay', give: { n: 2, unit: 'hour' }, see: 'hour', has: { models: [{ time_decay: { n: 3, unit: 'day' } }] } },
  'attribution.match[]': { find: ['HeldProperties', 0], give: ['event.product'], see: 'event.product' },
  'attribution.match[].touch': { find: ['HeldProperties', 0], give: [{ touch: 'event.a', target: 'event.b' }], see: 'event.a' },
  'attribution.match[].target': { find: ['HeldProperties', 0], give: [{ touch: 'event.a', target: 'event.b' }], see: 'event.b' },
  'attribution.reuse': { find: 'models.attribution.reuse', give: false },
  'attribution.trend': { find: 'models.attribution.trend', give: true },
  // ---- session
  ...line('session.events', 0),
  'session.session.gap': { find: 'models.session.gap', give: { n: 5, unit: 'minute' } },
  ...line('session.session.start', 1, { session: { start: PAY } }),
  ...line('session.session.end', 1, { session: { end: PAY } }),
  'session.session.midnight': { find: 'models.session.midnight', give: true },
  'session.measure': { find: 'models.session.measure', give: ['bounces'] },
  'session.attr': { find: 'models.session.attr', give: 'last' },
  'session.distribution.of': { find: 'models.session.distribution', give: 'depth' },
  'session.distribution.edges': { find: 'models.session.edges', give: [2, 4], has: { distribution: { of: 'depth' } } },
  // ---- user_property
  'user_property.measures[]': { find: ['MeasurePicker', 0], give: { p95: 'user.age' }, has: { measures: [{ avg: 'user.age' }] } },
  ...line('user_property.active', 0, { active: PAY }),
  'user_property.as_of': { find: 'query.asOf', give: 'end' },
  'user_property.auto_buckets': { find: 'models.user_property.buckets', after: ' age', give: true, see: ['user.age'], has: { persona: { group: { all: [] }, base: null, properties: [{ p: 'user.age' }] } } },
  'user_property.persona.group': { find: ['AudienceBuilder', 0], give: { cohort: 'a' }, has: { persona: { group: { all: [] }, base: null, properties: [] } } },
  'user_property.persona.base': { find: ['AudienceBuilder', 1], give: { cohort: 'b' }, has: { persona: { group: { all: [] }, base: null, properties: [] } } },
  'user_property.persona.properties[].p': { find: 'models.user_property.traits', give: ['user.age'], see: 'user.age', has: { persona: { group: { all: [] }, base: null, properties: [] } } },
  'user_property.persona.properties[].buckets[]': { find: ['EdgesInput', 0], give: [30, 60], at: 'persona.properties.0.buckets', has: { persona: { group: { all: [] }, base: null, properties: [{ p: 'user.age' }] } } },
  // ---- clicks
  'clicks.e': { find: ['EventPicker', 0], give: 'click' },
  'clicks.where': { find: ['FilterBuilder', 0], give: WHERE },
  'clicks.page': { find: 'models.clicks.page', give: 'event.screen' },
  'clicks.on': { find: 'models.clicks.on', give: '/loan' },
  'clicks.element': { find: 'models.clicks.element', give: 'event.el' },
  'clicks.text': { find: 'models.clicks.text', give: 'event.text' },
  'clicks.grid.x': { find: 'models.clicks.places.x', give: 'event.x', has: { grid: {} } },
  'clicks.grid.y': { find: 'models.clicks.places.y', give: 'event.y', has: { grid: {} } },
  'clicks.grid.width': { find: 'models.clicks.places.width', give: 'event.w', has: { grid: {} } },
  'clicks.grid.columns': { find: 'models.clicks.columns', give: 12, has: { grid: {} } },
  'clicks.grid.row_height': { find: 'models.clicks.rowHeight', give: 30, has: { grid: {} } },
  // ---- ltv
  ...line('ltv.values[]', 1),
  'ltv.values[].p': { find: 'models.ltv.property', give: NUMBER },
  'ltv.values[].sign': { find: 'models.ltv.sign', give: '-1', see: -1 },
  ...line('ltv.start', 0),
  'ltv.date': { find: ['PropertyPicker', 0], give: 'user.opened', has: { start: null, date: '' } },
  'ltv.cohort': { find: 'models.ltv.cohort', give: 'first_ever' },
  'ltv.periods': { find: 'models.retention.periods', give: 6 },
  'ltv.mode': { find: 'models.retention.mode', give: 'rolling' },
  // ---- lifecycle, stickiness
  ...line('lifecycle.event', 0),
  ...line('stickiness.event', 0),
  'stickiness.within': { find: 'models.stickiness.within', give: 'month' },
  // ---- rfm
  ...line('rfm.event', 0),
  'rfm.monetary': { find: ['PropertyPicker', -1], give: NUMBER },
  'rfm.cells': { find: 'models.rfm.cells', give: 'scores' },
  'rfm.thresholds.recency': { find: 'models.rfm.edges.recency', give: [30] },
  'rfm.thresholds.frequency': { find: 'models.rfm.edges.frequency', give: [3] },
  'rfm.thresholds.monetary[]': { find: 'models.rfm.edges.monetary', give: [1000], at: 'thresholds.monetary' },
  'rfm.quantiles': { find: 'models.rfm.shares', give: [80], see: [0.8] },
  // ---- concurrency
  ...line('concurrency.events', 0),
  'concurrency.session.gap': { find: 'models.session.gap', give: { n: 5, unit: 'minute' } },
  ...line('concurrency.session.start', 1, { session: { start: PAY } }),
  ...line('concurrency.session.end', 1, { session: { end: PAY } }),
  'concurrency.session.midnight': { find: 'models.session.midnight', give: true },
  'concurrency.minutes': { find: 'models.concurrency.minutes', give: '20', see: 20 },
  'concurrency.tail': { find: ['LengthInput', 0], give: { n: 3, unit: 'minute' }, has: { tail: { n: 5, unit: 'minute' } } },
}
