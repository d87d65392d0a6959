export default {
  event: { name: '事件分析' }, funnel: { name: '漏斗分析' }, retention: { name: '留存分析' }, path: { name: '路径分析' },
  distribution: { name: '分布分析' }, interval: { name: '间隔分析' }, attribution: { name: '归因分析' }, session: { name: 'Session 分析' },
  user_property: { name: '用户属性' }, clicks: { name: '点击热图' }, ltv: { name: 'LTV 分析' }, lifecycle: { name: '生命周期' },
  stickiness: { name: '粘性分析' }, rfm: { name: 'RFM 分析' }, concurrency: { name: '同时在线' },
}
