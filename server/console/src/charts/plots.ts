/** Options of the plots that several models share: lines and bars over categories, heat maps, calendars. */
import { i18n } from '@/i18n'

import type { EChartsCoreOption } from './engine'
import { compact, duration, percent, shown, type Unit } from './numbers'
import type { Inks } from './palette'
import { tip } from './tip'

export interface Series {
  name: string
  values: (number | null)[]
  unit?: Unit
  /** From this category on the values are not final. */
  openFrom?: number
  dashed?: boolean
  kind?: 'line' | 'bar'
  stack?: string
  axis?: 0 | 1
  colour?: string
}
export interface Plot {
  kind: 'line' | 'bar' | 'area' | 'stack' | 'row'
  categories: string[]
  series: Series[]
  unit?: Unit
  /** What can be clicked opens users. */
  clickable?: boolean
}

export function axisText(unit: Unit | undefined): (value: number) => string {
  if (unit === 'ratio') return (value) => percent(value, 1)
  if (unit === 'ms') return (value) => (value === 0 ? '0' : duration(value))
  return compact
}

const MS = [1000, 5000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000, 172_800_000, 432_000_000, 604_800_000, 1_209_600_000, 2_592_000_000]

/** A round distance between ticks of an axis of times, for at most about six of them. */
export function msStep(greatest: number): number {
  return MS.find((one) => greatest / one <= 6) ?? MS[MS.length - 1]!
}
/** Dates on an axis without their year and weekday, when all are of one year. */
function shortened(categories: string[]): ((text: string) => string) | undefined {
  const dates = categories.map((one) => /^(\d{4})-\d\d-\d\d/.exec(one))
  if (!categories.length || dates.some((one) => !one || one[1] !== dates[0]![1])) return undefined
  return (text) => text.slice(5, 10)
}

/** Width of a short date with the space after it, px. */
const DATE = 46

/** Every how manieth date has its label. ECharts finds that, too, by measuring all of them twice. */
function sparsely(count: number, width: number): number {
  return Math.max(0, Math.ceil((count * DATE) / Math.max(DATE, width - 70)) - 1)
}

const LEGEND = (names: string[], inks: Inks) => ({
  show: names.length > 1, type: 'scroll', top: 0, left: 0, right: 0, itemWidth: 14, itemHeight: 8,
  textStyle: { color: inks.ink }, pageTextStyle: { color: inks.muted }, pageIconColor: inks.ink, pageIconInactiveColor: inks.line,
})

/** Lines, areas, bars (beside or upon each other), and horizontal bars (`row`). */
export function plot(spec: Plot): (inks: Inks, width: number) => EChartsCoreOption {
  return (inks, width) => {
    const across = spec.kind === 'row'
    const stacked = spec.kind === 'stack' || spec.kind === 'area'
    const dates = across ? undefined : shortened(spec.categories)
    const units = [spec.unit, spec.series.find((one) => one.axis === 1)?.unit]
    const two = spec.series.some((one) => one.axis === 1)
    const category = {
      type: 'category', data: spec.categories, boundaryGap: spec.kind !== 'line' && spec.kind !== 'area', inverse: across,
      axisLine: { lineStyle: { color: inks.line } }, axisTick: { show: false },
      axisLabel: { color: inks.muted, hideOverlap: true, formatter: dates, interval: dates && spec.categories.length <= 60 ? sparsely(spec.categories.length, width) : undefined, ...(across ? { width: Math.min(220, width * 0.32), overflow: 'truncate' } : {}) },
    }
    const greatest = (k: number) => Math.max(0, ...spec.series.filter((one) => (one.axis ?? 0) === k).flatMap((one) => one.values.map((v) => v ?? 0)))
    const value = (k: number) => ({
      type: 'value', interval: units[k] === 'ms' ? msStep(greatest(k)) : undefined, splitLine: { show: k === 0, lineStyle: { color: inks.line } }, axisLabel: { color: inks.muted, formatter: axisText(units[k]) },
    })
    const values = two ? [value(0), value(1)] : value(0)
    const many = spec.categories.length > 60 && !across
    return {
      grid: { left: 8, right: across ? 40 : 12, top: spec.series.length > 1 ? 36 : 14, bottom: many ? 46 : 8, containLabel: true },
      legend: LEGEND(spec.series.map((one) => one.name), inks),
      xAxis: across ? values : category,
      yAxis: across ? category : values,
      dataZoom: many ? [{ type: 'slider', height: 18, bottom: 8, borderColor: inks.line, textStyle: { color: inks.muted }, showDetail: false, brushSelect: false }] : undefined,
      tooltip: {
        trigger: 'axis', axisPointer: { type: spec.kind === 'line' || spec.kind === 'area' ? 'line' : 'shadow' },
        formatter: (points: { dataIndex: number; axisValueLabel?: string; name: string; seriesIndex: number; color: string; seriesName: string }[]) => {
          const at = points[0]?.dataIndex ?? 0
          const lines = points
            .filter((one, k) => points.findIndex((other) => other.seriesIndex === one.seriesIndex) === k)
            .map((one) => {
              const series = spec.series[one.seriesIndex]!
              return { colour: one.color, name: series.name, raw: series.values[at] ?? null, value: shown(series.values[at] ?? null, series.unit ?? spec.unit ?? 'number') }
            })
          if (lines.length > 6) lines.sort((a, b) => (b.raw ?? -Infinity) - (a.raw ?? -Infinity))
          const open = spec.series.some((one) => one.openFrom !== undefined && at >= one.openFrom)
          const hints = [open ? i18n.global.t('charts.incomplete') : '', spec.clickable ? i18n.global.t('charts.clickForUsers') : '']
          return tip(spec.categories[at] ?? '', lines, hints.filter(Boolean).join(' · '))
        },
      },
      series: spec.series.map((one, k) => {
        const kind = one.kind ?? (spec.kind === 'line' || spec.kind === 'area' ? 'line' : 'bar')
        const colour = one.colour ?? inks.series[k % inks.series.length]
        const open = one.openFrom ?? Infinity
        return {
          name: one.name, type: kind, yAxisIndex: across ? 0 : (one.axis ?? 0), xAxisIndex: 0,
          stack: one.stack ?? (stacked && !one.axis ? 'all' : undefined),
          areaStyle: spec.kind === 'area' ? { opacity: 0.5 } : undefined,
          itemStyle: { color: colour, borderRadius: kind === 'bar' && !stacked ? (across ? [0, 3, 3, 0] : [3, 3, 0, 0]) : 0 },
          lineStyle: { width: 2, type: one.dashed ? 'dashed' : 'solid', color: colour },
          barMaxWidth: 44, symbol: 'circle', symbolSize: 6, showSymbol: spec.categories.length <= 31,
          label: across && spec.series.length === 1 ? { show: true, position: 'right', color: inks.ink, formatter: (p: { dataIndex: number }) => shown(one.values[p.dataIndex] ?? null, one.unit ?? spec.unit ?? 'number') } : undefined,
          data: one.values.map((v, at) => (at >= open && v !== null ? { value: v, itemStyle: { opacity: 0.45, color: colour } } : v)),
        }
      }),
    }
  }
}

/** A rectangle of cells. */
export function heat(spec: { columns: string[]; rows: string[]; cells: [number, number, number | null][]; unit?: Unit; name: string }): (inks: Inks) => EChartsCoreOption {
  return (inks) => {
    const values = spec.cells.map(([, , v]) => v).filter((v): v is number => v !== null)
    return {
      grid: { left: 8, right: 8, top: 10, bottom: 44, containLabel: true },
      xAxis: { type: 'category', data: spec.columns, axisLabel: { color: inks.muted, hideOverlap: true }, axisTick: { show: false }, axisLine: { show: false }, splitArea: { show: false } },
      yAxis: { type: 'category', data: spec.rows, inverse: true, axisLabel: { color: inks.muted, width: 140, overflow: 'truncate' }, axisTick: { show: false }, axisLine: { show: false } },
      visualMap: { min: 0, max: Math.max(...values, 0) || 1, calculable: false, orient: 'horizontal', left: 'center', bottom: 0, itemHeight: 140, itemWidth: 10, inRange: { color: inks.scale }, textStyle: { color: inks.muted }, formatter: (v: number) => axisText(spec.unit)(v) },
      tooltip: {
        trigger: 'item',
        formatter: (point: { data: [number, number, number] }) => {
          const [x, y, v] = point.data
          return tip(`${spec.rows[y]} · ${spec.columns[x]}`, [{ name: spec.name, value: shown(v, spec.unit ?? 'number') }])
        },
      },
      series: [{ type: 'heatmap', data: spec.cells.map(([x, y, v]) => [x, y, v ?? '-']), itemStyle: { borderWidth: 1, borderColor: inks.panel }, emphasis: { itemStyle: { borderColor: inks.ink } } }],
    }
  }
}

/** Days on a calendar. */
export function calendar(spec: { days: [string, number | null][]; name: string; unit?: Unit }): (inks: Inks, width: number) => EChartsCoreOption {
  return (inks, width) => {
    const values = spec.days.map(([, v]) => v).filter((v): v is number => v !== null)
    const range = [spec.days[0]?.[0] ?? '', spec.days[spec.days.length - 1]?.[0] ?? '']
    const weeks = Math.ceil(spec.days.length / 7) + 1
    const size = Math.max(10, Math.min(30, Math.floor((width - 80) / weeks)))
    return {
      calendar: {
        range, left: 48, top: 34, cellSize: [size, 24], splitLine: { lineStyle: { color: inks.line } }, itemStyle: { color: inks.panel, borderColor: inks.line },
        dayLabel: { color: inks.muted, firstDay: 1, nameMap: i18n.global.locale.value === 'zh' ? 'ZH' : 'EN' },
        monthLabel: { color: inks.muted, nameMap: i18n.global.locale.value === 'zh' ? 'ZH' : 'EN' }, yearLabel: { show: false },
      },
      visualMap: { min: 0, max: Math.max(...values, 0) || 1, orient: 'horizontal', left: 48, bottom: 0, itemHeight: 140, itemWidth: 10, inRange: { color: inks.scale }, textStyle: { color: inks.muted }, formatter: (v: number) => axisText(spec.unit)(v) },
      tooltip: { trigger: 'item', formatter: (point: { data: [string, number] }) => tip(point.data[0], [{ name: spec.name, value: shown(point.data[1], spec.unit ?? 'number') }]) },
      series: [{ type: 'heatmap', coordinateSystem: 'calendar', data: spec.days.filter(([, v]) => v !== null) }],
    }
  }
}
