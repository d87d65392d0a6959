export default {
  new: '新建看板', newName: '看板名称', find: '搜索看板', cards: '{n} 张卡片', rename: '重命名', toFolder: '移动到文件夹', making: '正在创建…',
  empty: '还没有看板', emptyText: '看板把常看的分析放在一页上，共用日期与筛选。可以从模板创建，几秒内就能看到图表。',
  templates: {
    blank: { name: '空白看板', text: '自己挑选已存分析来搭建' },
    overview: { name: '业务总览', text: '日活、周活、月活、新增、留存、同时在线与热门事件' },
    banking: { name: '银行业务', text: '登录、页面浏览、转账漏斗与营销活动参与' },
  },
  removeSure: '删除看板“{name}”？其中的已存分析不会被删除。', removeBoard: '删除看板', discard: '放弃修改',
  addCard: '添加卡片', editCard: '编辑卡片', removeCard: '移除卡片', cardKind: '卡片类型', kinds: { analysis: '分析图表', figure: '单个数字', text: '文字' },
  text: '文字内容', textHint: '支持 # 标题、- 列表、**加粗**、*斜体*、`代码` 与 [链接](https://…)。', findSaved: '搜索已存分析',
  noSaved: '还没有已存分析', noSavedText: '先在任意分析页做一个分析并保存，再回来添加到看板。', toAnalysis: '去做一个分析', figure: '展示哪个数字', chart: '图表类型', chartOfSaved: '与已存分析一致', cardTitle: '卡片标题（可选）',
  refresh: '刷新', refreshCard: '刷新此卡片', full: '全屏', leaveFull: '退出全屏', large: '放大查看', openAnalysis: '打开分析',
  dataUntil: '数据截至 {at}', askedAt: '查询于 {at}', still: '{n} 张卡片正在更新', working: '正在更新', blank: '这个看板还没有卡片', blankText: '从已存分析中挑选图表或数字，也可以写一段说明文字。',
  shared: '看板的日期与筛选', ownDates: '各卡片自己的日期', toOwnDates: '不统一日期', filter: '筛选', filterOn: '已筛选', refreshEvery: '自动刷新',
  every: { never: '不自动刷新', seconds: '每 {n} 秒刷新', minutes: '每 {n} 分钟刷新', hours: '每 {n} 小时刷新' },
  moveCard: '移动卡片：{name}', moveHint: '拖动左上角移动、右下角调整大小；键盘：方向键移动，Shift + 方向键调整大小，Delete 移除。', sizeCard: '调整大小', placeTold: '第 {x} 列、第 {y} 行，宽 {w}，高 {h}',
  savedGone: '对应的已存分析已被删除，请移除或更换此卡片。', nothing: '所选时间与筛选下没有数据。', up: '较上期上升 {size}', down: '较上期下降 {size}', same: '与上期持平', points: '{n} 个百分点', before: '上期 {value}',
}
