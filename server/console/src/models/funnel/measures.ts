/** A funnel's `measure` as its form has it, and back. The four usual columns are always there. */

export interface Sum {
  sum: string
  step?: number | null
}
export type Measure = string | Sum
export interface Words {
  median: boolean
  mean: boolean
  histogram: boolean
  percents: number[]
  sums: Sum[]
}

export function wordsOf(measures: readonly Measure[]): Words {
  const words = measures.filter((one): one is string => typeof one === 'string')
  return {
    median: words.includes('ttc_median'),
    mean: words.includes('ttc_mean'),
    histogram: words.includes('ttc_histogram'),
    percents: words.flatMap((one) => /^ttc_p(\d+)$/.exec(one)?.[1] ?? []).map(Number),
    sums: measures.filter((one): one is Sum => typeof one === 'object'),
  }
}

export function measuresOf({ median, mean, histogram, percents, sums }: Words): Measure[] {
  return [
    ...(median ? ['ttc_median'] : []), ...(mean ? ['ttc_mean'] : []), ...percents.map((n) => `ttc_p${n}`), ...(histogram ? ['ttc_histogram'] : []),
    ...sums.map(({ sum, step }) => (step ? { sum, step } : { sum })),
  ]
}
