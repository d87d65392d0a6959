export default {
  ms: '{n} ms', s: '{n} s', m: '{n} min', h: '{n} h', d: '{n} d',
  incomplete: 'not over yet: numbers will still change', clickForUsers: 'click for the users', other: 'Others', noValue: 'no value', total: 'All', previous: 'before', current: 'now', compared: 'compared',
  kinds: { line: 'Lines', bar: 'Bars', stack: 'Stacked', area: 'Areas', table: 'Table', figure: 'Figure', calendar: 'Calendar', heat: 'Heat map', pie: 'Pie', row: 'Rows', grid: 'Grid', curve: 'Curves', funnel: 'Funnel', trend: 'Trend', box: 'Box plot', histogram: 'Histogram', sankey: 'Sankey', list: 'List', map: 'Map', layers: 'Layers', share: 'Shares' },
}
