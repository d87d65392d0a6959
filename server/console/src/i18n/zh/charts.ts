export default {
  ms: '{n} 毫秒', s: '{n} 秒', m: '{n} 分', h: '{n} 小时', d: '{n} 天',
  incomplete: '该时段尚未结束，数据会继续变化', clickForUsers: '点击查看用户', other: '其余', noValue: '无值', total: '总体', previous: '对比期', current: '当前', compared: '对比人群',
  kinds: { line: '折线', bar: '柱状', stack: '堆叠', area: '面积', table: '表格', figure: '数字', calendar: '日历', heat: '热力', pie: '饼图', row: '条形', grid: '明细表', curve: '曲线', funnel: '漏斗', trend: '趋势', box: '箱线', histogram: '直方', sankey: '桑基图', list: '列表', map: '热图', layers: '分层', share: '占比' },
}
