// @vitest-environment jsdom
/** What a comparison looks like where periods stand beside each other. */
import { mount } from '@vue/test-utils'
import { beforeAll, expect, it } from 'vitest'
import { defineComponent } from 'vue'

import type { Answer, Cell } from '@/api/types'
import { i18n, setLanguage } from '@/i18n'
import IntervalPictures from '@/models/interval/IntervalPictures.vue'
import LifecyclePictures from '@/models/lifecycle/LifecyclePictures.vue'

beforeAll(() => setLanguage('zh'))

interface Drawn {
  xAxis: { data: string[] }
  series: { name: string; stack?: string; data: (number | null | { value: number })[]; lineStyle?: { type: string }; itemStyle: { color: string } }[]
}
const inks = { series: ['#111111', '#222222'], ink: '', muted: '', line: '', panel: '', scale: [] }
const EChart = defineComponent({ name: 'EChart', props: ['build', 'label', 'height'], emits: ['pick'], template: '<i />' })

function drawn(component: object, answer: unknown, chart: string) {
  const page = mount(component as never, { props: { answer, chart } as never, global: { plugins: [i18n], stubs: { EChart, FigureTiles: true } } })
  const found = page.findComponent(EChart)
  return { page, chart: found, option: (found.props('build') as (inks: unknown, width: number) => Drawn)(inks, 800) }
}
const answerOf = (query: object, names: string[], rows: Cell[][]): Answer =>
  ({ query, columns: names.map((name) => ({ name, type: 'int64', unit: null })), rows, totals: {}, meta: {} }) as unknown as Answer

const lifecycle = answerOf({ model: 'lifecycle', time: { grain: 'week' }, body: { event: { e: 'a' } } }, ['range', 'bucket', 'state', 'users', 'complete'], [
  ['current', '2026-10-05', 'new', 5, true], ['current', '2026-10-05', 'dormant', 2, true],
  ['current', '2026-10-12', 'new', 6, false], ['current', '2026-10-12', 'dormant', 1, false],
  ['previous', '2026-09-21', 'new', 3, true], ['previous', '2026-09-21', 'dormant', 4, true],
  ['previous', '2026-09-28', 'new', 7, true], ['previous', '2026-09-28', 'dormant', 8, true],
])

it('stacks the states of the period before beside those of now, on the same places', () => {
  const { option, chart, page } = drawn(LifecyclePictures, lifecycle, 'stack')
  expect(option.xAxis.data).toHaveLength(2)
  expect(option.series.map((one) => one.name)).toEqual(['新增', '沉默', '新增 · 对比期', '沉默 · 对比期'])
  expect(option.series.slice(2).map((one) => one.data)).toEqual([[3, 7], [-4, -8]])
  const [now, , before] = option.series
  expect(now!.stack).not.toBe(before!.stack)
  expect(before!.itemStyle.color).toBe(`${now!.itemStyle.color}80`)
  chart.vm.$emit('pick', { seriesIndex: 2, dataIndex: 1 })
  expect(page.emitted('users')![0]![0]).toEqual({ bucket: '2026-09-28', state: 'new', range: 'previous' })
})
it('draws them as dashed lines', () => {
  const { option } = drawn(LifecyclePictures, lifecycle, 'line')
  expect(option.series.map((one) => one.lineStyle?.type)).toEqual(['solid', 'solid', 'dashed', 'dashed'])
  expect(option.series[3]!.data).toEqual([4, 8])
})
it('draws how long it took in the period before', () => {
  const names = ['range', 'bucket', 'median', 'p25', 'p75', 'whisker_low', 'whisker_high', 'users', 'pairs']
  const row = (range: string, bucket: string, median: number): Cell[] => [range, bucket, median, median, median, median, median, 1, 1]
  const interval = answerOf({ model: 'interval', time: { grain: 'week' }, body: { start: { e: 'a' } } }, names, [row('current', '2026-10-05', 1000), row('previous', '2026-09-28', 2000)])
  const line = drawn(IntervalPictures, interval, 'line').option
  expect(line.series.map((one) => [one.data, one.lineStyle?.type])).toEqual([[[1000], 'solid'], [[2000], 'dashed']])
  expect(drawn(IntervalPictures, interval, 'box').option.series).toHaveLength(2)
})
