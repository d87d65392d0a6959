export default {
  more: '更多设置', moreSet: '已设置 {n} 项', percentiles: '其他分位数', percentilesHint: '选择或输入 1–99', edgesHint: '分界值，如 1, 5, 30', held: '属性对应', addHeld: '各处属性名不同时，逐一对应',
  event: { name: '事件分析', hint: '统计事件发生的次数、人数与属性数值，看趋势和构成', more: '更多', copy: '复制指标', rename: '自定义名称', cumulative: '累计', average: '移动平均', averageOf: '移动平均周期', label: '名称', add: '添加指标', addFormula: '添加公式', formula: '公式', formulaHint: '用 A、B 等字母代表上面的指标，支持加减乘除和括号' },
  funnel: {
    name: '漏斗分析', hint: '看用户在各步骤的转化与流失', up: '上移', down: '下移', optional: '可选步骤', window: '转化窗口', windowHint: '从第一步起多长时间内完成才算转化', order: '步骤顺序', count: '统计对象', entry: '进入条件',
    orders: { ordered: '依次完成（中间可有其他行为）', strict: '严格依次（中间不能有其他行为）', any_order: '任意顺序' }, counts: { users: '用户', entries: '每次进入', sessions: '会话' }, entries: { any: '任意一次进入', first: '首次进入' },
    hold: '关联属性', holdHint: '各步骤的该属性值必须相同，例如同一产品', holdNone: '不限', exclude: '排除事件', counted: { entries: '进入次数', sessions: '会话数' }, excludeHow: '排除方式', excludes: { drop: '中断转化', remove: '移出漏斗' }, addExclude: '排除事件', trend: '按时间看趋势', histogram: '转化时长分布', histogramOf: '转化时长分布', stepName: '步骤名称', stepN: '第 {n} 步', ties: '同一时刻', tiesHint: '同一用户有多个事件时间完全相同时，如何判断先后', tieKinds: { sequence: '按上报的先后', any: '按最有利于转化的先后', strict: '不算先后（时间须更晚）' },
    between: '发生在', betweenFrom: '排除范围：起', betweenTo: '排除范围：止', times: '转化时长', sum: '步骤金额', sumAt: '金额所在步骤', everyStep: '每一步', addSum: '添加步骤金额（数值属性之和）', medianTime: '转化时长中位数', lost: '流失 {n}',
  },
  retention: {
    name: '留存分析', hint: '看用户在之后各周期是否回来', start: '起始事件', return: '回访事件', periods: '观察周期数', cohort: '起始用户', cohorts: { first_in_range: '时段内首次', first_ever: '历史首次（新用户）', recurring: '每个周期分别计入' },
    mode: '周期算法', modeHint: '自然周期按日历切分；滚动周期从用户起始时刻起每 24 小时为一天', modes: { calendar: '自然周期', rolling: '滚动周期' }, criterion: '留存口径',
    criteria: { on: '当期回访', on_or_after: '当期及以后回访', on_or_before: '当期及以前回访', consecutive: '连续每期回访', bracket: '自定义区间' }, churn: '显示流失', measure: '同时统计其他指标', pooled: '总体',
    period: { day: '第 {n} 天', week: '第 {n} 周', month: '第 {n} 月' },
  },
  path: {
    name: '路径分析', hint: '看用户在会话内依次做了什么、在哪里离开', from: '路径范围', edges: { any: '从会话开始', start: '从某事件开始', end: '到某事件结束' }, events: '参与路径的事件', exclude: '排除事件', splitBy: '按属性拆分', addEvent: '添加事件', addExclude: '排除事件', addNode: '按属性拆分', count: '统计口径',
    counts: { sessions: '会话数', users: '用户数', occurrences: '路径数' }, steps: '最多步数', nodes: '每层节点数', collapse: '合并连续重复的步骤', expand: '点击展开更多节点', more: '展开“其余步骤”',
  },
  distribution: { name: '分布分析', hint: '看用户按次数、天数或金额的分布', bands: '区间', bandKinds: { auto: '自动', width: '等宽', edges: '自定义' }, zero: '未发生用户', zeroHint: '把没有做过的用户也列为一档，以及以哪些用户为总体', zeros: { none: '不显示', all: '全部用户', active: '当期活跃用户', active_in_range: '时段内活跃用户' }, none: '未发生', mean: '人均 {n}' },
  interval: { name: '间隔分析', hint: '看用户从一个行为到另一个行为隔了多久', start: '起始事件', end: '结束事件', same: '与起始事件相同（点击选择其他事件）', nearest: '配对方式', since: '跨期起始', sinceHint: '时段开始之前的起始事件，是否可以与时段内的结束事件配对', sinces: { range: '只看时段内的起始事件', ever: '更早的起始事件也参与配对' }, tieKinds: { sequence: '按上报的先后', strict: '不算先后（时间须更晚）' }, bars: '直方图分段', edges: '直方图分界', nearestHint: '多个起始事件时，取最早的还是最近的一个与结束事件配对', nearests: { start: '最早的起始', end: '最近的起始' }, cap: '间隔上限', over: '统计对象', overs: { pairs: '每次间隔', users: '每个用户的平均间隔' } },
  attribution: {
    name: '归因分析', hint: '看转化应归功于哪些触点，多种模型并列对比', target: '目标转化事件', value: '转化价值属性', touches: '触点事件', touch: '触点', detail: '细分', direct: '直接访问', addTouch: '添加触点', lookback: '回溯窗口', models: '归因模型', match: '关联属性', matchHint: '触点与转化的该属性值必须相同', reuse: '同一触点可归给多次转化', trend: '按时间看趋势', touchName: '触点名称', positionHint: '首次与末次触点各占百分之几，其余由中间的触点平分', positionFirst: '首次触点占比（%）', positionLast: '末次触点占比（%）', positionMiddle: '% 首次与末次，中间 {n}%', addPosition: '自定义位置权重', decayHint: '触点距转化每过这么久，贡献减半', decay: '半衰期', addDecay: '自定义衰减速度', isDirect: '无触点（直接转化）', byValue: '按转化价值', sums: '转化 {all} 次，其中 {touched} 次有触点（{share}）',
    credits: { first: '首次触点', last: '末次触点', last_non_direct: '末次非直接触点', linear: '线性均分', position: '位置归因', time_decay: '时间衰减', participation: '参与归因' },
  },
  session: {
    name: '会话分析', hint: '看访问次数、时长、深度与跳出', events: '计入的事件', measure: '指标', distribution: '分布', distributions: { none: '不看分布', duration: '按时长', depth: '按深度' }, edges: '分界值', percents: { duration: '时长分位数', depth: '深度分位数' }, gap: '会话间隔', gapHint: '同一用户相邻两个事件间隔超过该时长则切分为新会话', attr: '分组取值', attrs: { first: '会话首个事件（入口）', last: '会话末个事件（出口）' }, start: '起始事件', end: '结束事件', none: '不限', midnight: '零点时切分会话', noDuration: '单事件会话',
  },
  user_property: { name: '用户属性', hint: '看用户是谁，以及人群与总体的差异（TGI）', what: '分析方式', groups: '属性分布', persona: '人群画像', group: '目标人群', base: '对比人群（空为全部用户）', traits: '对比属性', tgiHint: 'TGI = 目标人群占比 ÷ 对比人群占比 × 100，大于 100 表示目标人群更突出', addMeasure: '添加数值指标', buckets: '自动分段', bucketsOf: '{p}分段', active: '活跃限定', activeHint: '只统计时间范围内做过该事件的用户', everybody: '全部用户（点击限定）', atEnd: '所选时间结束时', atDate: '指定日期', all: '全部用户' },
  clicks: {
    name: '点击热图', hint: '看页面上哪些元素、哪些位置被点击', kind: '查看方式', kinds: { elements: '按元素', grid: '按位置' }, event: '点击事件', eventHint: '不选则为各 SDK 的点击事件', on: '页面', page: '页面属性', element: '元素属性', text: '元素文字', columns: '列数', rowHeight: '行高（像素）', places: { x: '横坐标属性', y: '纵坐标属性', width: '页面宽度属性' }, at: '第 {column} 列 第 {row} 行', cell: '点击 {clicks} 次，{users} 人', deeper: '{n} 次点击位于 {px} 像素以下，未画出', outline: '底图为页面示意，位置按页面宽度等比缩放', nowhere: '另有 {n} 次点击没有位置', others: '其余位置共 {n} 次',
  },
  ltv: { name: '用户价值（LTV）', hint: '看用户进入之后各周期累计带来的价值', enter: '用户进入', enters: { start: '做过某事件', date: '按用户属性日期' }, date: '日期属性', cohort: '起始用户', values: '价值事件', property: '金额属性', times: '按次数', sign: '方向', signs: { '1': '收入', '-1': '支出' }, addValue: '添加价值事件', payers: '{n} 人有贡献' },
  lifecycle: { name: '生命周期', hint: '看每个周期新增、持续、回流和沉默的用户', event: '活跃事件', states: '新增：历史首次活跃；持续活跃：上一周期也活跃；回流：中断后再次活跃；沉默：上一周期活跃而本周期没有。' },
  stickiness: { name: '粘性分析', hint: '看用户在一段时间内有多少天（周、月）活跃', within: '统计周期', withinHint: '例如按天、每周：看每周活跃了几天', withins: { none: '整个时段', day: '每天', week: '每周', month: '每月', quarter: '每季', year: '每年' }, times: { hour: '{n} 小时', day: '{n} 天', week: '{n} 周', month: '{n} 个月', quarter: '{n} 个季度' } },
  rfm: { name: 'RFM 分析', hint: '按最近一次、频次和金额给用户分层', monetary: '金额属性', cells: '分层方式', cellKinds: { layers: '八个层级', scores: '1 至 5 分' }, edges: { recency: '最近（天）', frequency: '频次', monetary: '金额' }, edgesHint: '留空则按分位数自动划分；自定义需填 {n} 个分界值', auto: '自动', shares: '分位点', sharesHint: '没有自定义分界值时，低于分界的用户占百分之几', needEdges: '需要填 {n} 个数', found: { recency: '最近 ≤ {edges} 天为高', frequency: '频次 ≥ {edges} 为高', monetary: '金额 ≥ {edges} 为高' }, means: '距今 {r} 天 · {f} 次 · 金额 {m}' },
  concurrency: { name: '同时在线', hint: '看同一时刻最多有多少用户在线', tail: '在线延长', tailHint: '最后一个事件之后仍视为在线的时长', minutes: '分钟粒度', minuteKinds: { none: '不细分', '1': '1 分钟', '2': '2 分钟', '3': '3 分钟', '4': '4 分钟', '5': '5 分钟', '6': '6 分钟', '10': '10 分钟', '12': '12 分钟', '15': '15 分钟', '20': '20 分钟', '30': '30 分钟' }, peakOf: '最高在线（{at}）' },
}
