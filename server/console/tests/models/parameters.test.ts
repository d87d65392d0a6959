// @vitest-environment jsdom
/** Every parameter of the API's JSON Schema has a control, and the control changes the query there. */
import { flushPromises, mount, type VueWrapper } from '@vue/test-utils'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { defineComponent, h, reactive } from 'vue'

import { MODELS, type Model, type QueryDoc } from '@/api/types'
import { i18n, setLanguage } from '@/i18n'
import { KITS } from '@/models/kits'
import AudienceBuilder from '@/query/AudienceBuilder.vue'
import ByList from '@/query/ByList.vue'
import { load } from '@/query/catalogue'
import FilterBuilder from '@/query/FilterBuilder.vue'
import TimeBar from '@/query/TimeBar.vue'

import { CONTROLS, type Control } from './controls'
import { parametersOf, parametersOfEnvelope } from './parameters'

beforeAll(async () => {
  globalThis.ResizeObserver ??= class { observe() {} unobserve() {} disconnect() {} } as never
  await setLanguage('zh')
  await load(true)
})

/** A project with one property, a number. */
vi.mock('@/api/client', async (original) => ({
  ...(await original<typeof import('@/api/client')>()),
  get: async () => ({
    events: [], cohorts: [], tags: [], values: [],
    properties: [{ name: 'age', p: 'user.age', kind: 'int64', scope: 'user', events: [], origin: 'sent', title: '', description: '', deprecated: false, values: null }],
  }),
}))

const all = () => [...parametersOfEnvelope(), ...MODELS.flatMap((model) => parametersOf(model))]

/** What stands at `a.0.b`. */
const read = (doc: unknown, at: string): unknown => at.split('.').reduce((on, key) => (on as Record<string, unknown> | undefined)?.[key], doc)

/** Ours first: they hold those of Element Plus. */
const KINDS = ['ZonePicker', 'ValuePicker', 'PropertyPicker', 'EventPicker', 'LengthInput', 'LengthEdges', 'EdgesInput', 'PercentileList', 'ChoiceSelect', 'ElSelect', 'ElInputNumber', 'ElInput', 'ElCheckbox']

function control(page: VueWrapper, { find, words, after = '' }: Control): VueWrapper | undefined {
  if (typeof find !== 'string') {
    const some = page.findAllComponents({ name: find[0] })
    return some.at(find[1]) as VueWrapper | undefined
  }
  const label = i18n.global.t(find, words ?? {}) + after
  for (const name of KINDS) {
    for (const one of page.findAllComponents({ name }) as VueWrapper[]) {
      const { ariaLabel, label: own } = one.props() as Record<string, unknown>
      if (ariaLabel === label || own === label || (name === 'ElCheckbox' && one.text() === label)) return one
    }
  }
  return undefined
}

/** Mounts what has the control, gives it the value, and tells the document. */
async function given(page: VueWrapper, one: Control): Promise<void> {
  const more = page.findComponent({ name: 'TimeMore' })
  if (more.exists()) {
    await more.find('button').trigger('click')
    await flushPromises()
  }
  const found = control(page, one)
  expect(found, `a control ${JSON.stringify(one.find)}`).toBeDefined()
  const kind = Array.isArray(one.find) ? one.find[0] : ''
  if (kind === 'ElDropdown') found!.vm.$emit('command', one.give)
  else if (kind === 'ElInput') found!.vm.$emit('change', one.give)
  else found!.vm.$emit('update:modelValue', one.give)
  await flushPromises()
  page.unmount()
}

const plugins = { plugins: [i18n] }
/** What draws much and is not asked about: the values that these are given, and give, stay. */
const stubs = Object.fromEntries(['ElSelect', 'ElInputNumber', 'ElInput', 'ElButton', 'ElPopover', 'ElDropdown', 'ElIcon'].map((name) => [name, true]))

describe('parameters and controls', () => {
  it('are the same', () => {
    expect(all().filter((one) => !(one in CONTROLS))).toEqual([])
    expect(Object.keys(CONTROLS).filter((one) => !all().includes(one))).toEqual([])
  })
})

describe('a control changes the query', () => {
  it.each(Object.keys(CONTROLS).filter((one) => !one.startsWith('query.')))('%s', async (name) => {
    const one = CONTROLS[name]!
    const model = name.slice(0, name.indexOf('.')) as Model
    const body = { ...(KITS[model].body('pay') as object), ...one.has }
    if (model === 'funnel' && !one.has?.steps) Object.assign(body, { steps: [{ e: 'pay' }, { e: 'b' }] })
    const doc = reactive<QueryDoc>(JSON.parse(JSON.stringify({ model, time: { grain: 'day' }, by: [], body })))
    const at = one.at ?? name.slice(model.length + 1).replace(/\[\]/g, '.0')
    const want = 'see' in one ? one.see : one.give
    expect(read(doc.body, at)).not.toEqual(want)
    const form = (await KITS[model].form()).default
    await given(mount(form as never, { props: { doc } as never, global: { ...plugins, stubs } }), one)
    expect(read(doc.body, at)).toEqual(want)
  })

  const Envelope = (name: string, doc: QueryDoc) => defineComponent({
    render: () =>
      name === 'query.where' ? h(FilterBuilder, { modelValue: doc.where, 'onUpdate:modelValue': (now) => (doc.where = now) })
      : name === 'query.audience' ? h(AudienceBuilder, { modelValue: doc.audience, 'onUpdate:modelValue': (now) => (doc.audience = now) })
      : /^query\.(by|top)/.test(name) ? h(ByList, { doc, attr: 'steps' })
      : h(TimeBar, { doc }),
  })
  it.each(Object.keys(CONTROLS).filter((one) => one.startsWith('query.')))('%s', async (name) => {
    const one = CONTROLS[name]!
    const doc = reactive<QueryDoc>(JSON.parse(JSON.stringify({ model: 'funnel', time: { from: '-30d', to: 'today' }, by: [], body: { steps: [{ e: 'a' }, { e: 'b' }] }, ...one.has })))
    const at = one.at ?? name.slice(6).replace(/\[\]/g, '.0')
    await given(mount(Envelope(name, doc), { global: plugins }), one)
    expect(read(doc, at)).toEqual('see' in one ? one.see : one.give)
  })
})
