export default {
  ok: '确定', cancel: '取消', again: '重试', back: '返回列表', save: '保存', create: '创建', edit: '编辑', remove: '删除', more: '更多操作',
  copy: '复制', copied: '已复制', saved: '已保存', removed: '已删除', search: '搜索', close: '关闭', add: '添加', up: '上移', down: '下移',
  name: '名称', description: '说明', folder: '文件夹', owner: '创建人', changed: '更新时间', actions: '操作', all: '全部', noFolder: '未归档',
  nothingFound: '没有符合条件的结果', nothingFoundText: '换个关键词，或清除筛选条件。', clear: '清除筛选', needName: '请填写名称',
  unsaved: '有未保存的修改，确定离开吗？', leave: '离开', loading: '正在加载…', users: '用户数', readOnly: '你的角色只能查看，不能修改。',
  kinds: { tag: '标签', cohort: '分群', property: '属性' },
  nothing: '无', needObject: '需要一个 JSON 对象', ruleAsText: '规则（JSON）', asText: '编辑 JSON', byClicking: '返回可视化编辑',
  incomplete: '有 {n} 个条件尚未填写完整，不参与计算，也不会保存。',
  words: { all: '满足以下全部', any: '满足以下任一', none: '以下均不满足', asOf: '（{at} 时）', within: '{length}内', between: '{from} 至 {to}' },
}
