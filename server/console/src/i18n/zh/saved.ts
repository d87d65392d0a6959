export default {
  find: '搜索名称、说明、文件夹', anyModel: '全部模型', model: '分析模型', anyOwner: '全部创建人', open: '打开', rename: '重命名', describe: '修改说明', move: '移动到文件夹', moveHint: '文件夹（用 / 分级，留空为未归档）', copyName: '副本名称',
  history: '历史版本', historyOf: '历史版本：{name}', version: '版本 {n}', now: '当前', look: '查看', restore: '恢复', restored: '已恢复', restoreSure: '把版本 {n} 恢复为当前版本？现有版本仍保留在历史中。',
  removeSure: '删除“{name}”及其历史版本？使用它的看板卡片将无法显示。', empty: '还没有已存分析', emptyText: '在任意分析页点击“保存”，就能在这里找到它，并把它放到看板上。', begin: '去做一个分析',
}
