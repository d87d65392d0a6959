import {
  AlarmClock, Clock, Connection, Filter, Guide, Histogram, MagicStick, Money, Odometer, Position, Refresh,
  Share, Timer, TrendCharts, UserFilled,
} from '@element-plus/icons-vue'

import type { RouteRecordRaw } from 'vue-router'
import type { Component } from 'vue'

import { MODELS, type Model } from '@/api/types'

const ICONS: Record<Model, Component> = {
  event: TrendCharts, funnel: Filter, retention: Refresh, path: Guide, distribution: Histogram,
  interval: Timer, attribution: Share, session: Clock, user_property: UserFilled, clicks: Position,
  ltv: Money, lifecycle: Connection, stickiness: MagicStick, rfm: Odometer, concurrency: AlarmClock,
}

export default MODELS.map((model, order) => ({
  path: `/analysis/${model}`,
  name: `analysis-${model}`,
  component: () => import('./AnalysisPage.vue'),
  props: { model },
  meta: { title: `models.${model}.name`, nav: { group: 'analysis', order, icon: ICONS[model] } },
})) satisfies RouteRecordRaw[]
