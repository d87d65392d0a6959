export default {
  count: '总次数', users: '用户数', per_user: '人均次数', sessions: '会话数', times: '次数', active_days: '天数', active_hours: '小时数', ofProperty: '按属性',
  sum: '总和', avg: '均值', median: '中位数', mean: '均值', percentile: '{n} 分位', percentiles: '分位数', p90: '90 分位', min: '最小值', max: '最大值', distinct: '去重数', rate: '转化率',
}
