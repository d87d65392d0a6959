export default {
  count: 'Events', users: 'Users', per_user: 'Events a user', sessions: 'Sessions', times: 'Times', active_days: 'Days', active_hours: 'Hours', ofProperty: 'Of a property',
  sum: 'Sum', avg: 'Mean', median: 'Median', mean: 'mean', percentile: 'p{n}', percentiles: 'Percentile', p90: '90th percentile', min: 'Least', max: 'Greatest', distinct: 'Distinct', rate: 'Rate',
}
