export default {
  event: { name: 'Events' }, funnel: { name: 'Funnel' }, retention: { name: 'Retention' }, path: { name: 'Paths' },
  distribution: { name: 'Distribution' }, interval: { name: 'Intervals' }, attribution: { name: 'Attribution' }, session: { name: 'Sessions' },
  user_property: { name: 'User properties' }, clicks: { name: 'Click map' }, ltv: { name: 'Lifetime value' }, lifecycle: { name: 'Lifecycle' },
  stickiness: { name: 'Stickiness' }, rfm: { name: 'RFM' }, concurrency: { name: 'Concurrency' },
}
