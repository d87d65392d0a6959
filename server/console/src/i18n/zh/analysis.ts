export default {
  question: '分析条件', answer: '分析结果', where: '全局筛选', audience: '目标用户', by: '分组查看', table: '数据表', chart: '图表类型', notIn: '不在{what}',
  running: '正在计算 {share}% · {s} 秒', stop: '停止', elapsed: '耗时 {ms} 毫秒', rowsRead: '读取 {n} 行', complete: '数据完整', completeUntil: '数据截至 {at}', truncated: '结果过多，已截断', again: '重新计算',
  rows: '共 {n} 行', usersOf: '查看用户：{what}', users: '用户明细', usersFound: '{n} 个用户', searchId: '搜索 ID', userId: '用户 ID', deviceId: '设备 ID', timeline: '行为序列', noUsers: '没有符合条件的用户',
  saveCohort: '保存为分群', cohortName: '分群名称', cohortSaved: '已保存分群“{name}”',
  save: '保存', saveTitle: '保存分析', saveNew: '另存为新分析', saveVersion: '保存为新版本', name: '名称', folder: '文件夹', folderHint: '可留空', description: '说明', savedAs: '已保存“{name}”',
  export: '导出', noPicture: '当前视图没有可导出的图片，可导出表格', json: '查询 JSON', copy: '复制', copied: '已复制', useJson: '应用', otherModel: '这是“{model}”模型的查询，请到对应页面打开',
  link: '复制链接', linkCopied: '链接已复制，打开即可还原当前视图', undo: '撤销', redo: '重做', reset: '清空条件',
  empty: '所选条件下没有数据', emptyUntil: '本项目最新的数据在 {at}。可以调整时间范围，或检查筛选条件。', toData: '查看最近有数据的 30 天', dropFilters: '去掉筛选条件', noEvents: '项目还没有事件。请先接入 SDK 或导入数据。',
  unseen: { event: '事件“{name}”还没有数据。', property: '属性“{name}”还没有数据。' }, nearest: '相近的名称：{names}', noDates: '“{name}”的部分取值不是日期，这些用户不计入。',
  missing: {
    event: '请选择一个事件开始分析', property: '请为指标选择属性', steps: '请至少选择两个步骤', startReturn: '请选择起始事件和回访事件', target: '请选择目标转化事件', touch: '请至少选择一个触点事件',
    credit: '请至少选择一种归因模型', measure: '请至少选择一个指标', traits: '请选择要对比的用户属性', page: '请选择一个页面查看点击位置', start: '请选择用户进入的事件', values: '请选择产生价值的事件', monetary: '请选择金额属性',
  },
}
