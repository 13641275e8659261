import uPlot from 'uplot'
import { find } from './dom'
import type { Rates } from './rates'
import { number } from './words'

/** Seconds that are shown: more and more of them, so that the first ones are not a dot at the edge. */
const SPAN = { least: 60, most: 300 }
const KINDS = ['delivered', 'sent', 'received'] as const
const LABELS = { delivered: 'Delivered', sent: 'Sent', received: 'Received' }

/** One point a second; where nothing is known, the line has a gap. */
export class RatePlot {
  readonly #plot: uPlot
  readonly #times: number[] = []
  readonly #values: Record<keyof Rates, (number | null)[]> = { sent: [], delivered: [], received: [] }

  constructor() {
    const place = find('plot', HTMLElement)
    this.#plot = new uPlot(optionsFor(place), this.#data(), place)
    new ResizeObserver(() => this.#plot.setSize(sizeOf(place))).observe(place)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () =>
      this.#plot.redraw(false, true),
    )
  }

  /** @param time ms since 1970 */
  add(time: number, rates: Rates | undefined): void {
    this.#times.push(time / 1000)
    for (const kind of KINDS) this.#values[kind].push(rates?.[kind] ?? null)
    const now = time / 1000
    while ((this.#times[0] ?? now) < now - SPAN.most) this.#drop()
    this.#plot.batch(() => {
      this.#plot.setData(this.#data(), false)
      this.#plot.setScale('x', { min: Math.min(this.#times[0] ?? now, now - SPAN.least), max: now })
    })
  }

  #drop(): void {
    this.#times.shift()
    for (const kind of KINDS) this.#values[kind].shift()
  }

  #data(): uPlot.AlignedData {
    return [this.#times, ...KINDS.map((kind) => this.#values[kind])]
  }
}

function optionsFor(place: HTMLElement): uPlot.Options {
  const axis = {
    stroke: () => colour('--soft'),
    grid: { stroke: () => colour('--line'), width: 1 },
    ticks: { show: false },
  }
  return {
    ...sizeOf(place),
    scales: { y: { range: (_plot, _least, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [
      { ...axis, values: '{HH}:{mm}:{ss}', space: 90 },
      { ...axis, size: 56, values: (_plot, splits) => splits.map(number) },
    ],
    series: [
      { label: 'Time', value: '{HH}:{mm}:{ss}' },
      ...KINDS.map((kind) => ({
        label: LABELS[kind],
        stroke: () => colour(`--${kind}`),
        width: 2,
        points: { show: false },
        value: (_plot: uPlot, value: number | null) => (value === null ? '–' : number(value)),
      })),
    ],
    cursor: { y: false, drag: { x: false, y: false } },
  }
}

function sizeOf(place: HTMLElement): { width: number; height: number } {
  return { width: place.clientWidth, height: 200 }
}

/** One of the style's, as it is in this light. */
function colour(name: string): string {
  return getComputedStyle(find('plot', HTMLElement)).getPropertyValue(name)
}
