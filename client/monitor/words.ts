import { element } from './dom'

const UNITS = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
] as const

const numbers = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
const moments = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium' })

export function number(value: number): string {
  return numbers.format(value)
}

/** E.g. `3 min`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const [size, unit] = UNITS.find(([least]) => seconds >= least) ?? [1, 's']
  return `${Math.floor(seconds / size)} ${unit}`
}

/** How long ago, or how long until then; the moment itself on hovering. */
export function when(time: number, now = Date.now()): HTMLElement {
  const moment = { datetime: new Date(time).toISOString(), title: moments.format(time) }
  return element('time', moment, span(Math.abs(now - time)))
}

/** The browsers that say they are another one come first. */
const BROWSERS = [
  ['Edge', /\bEdgA?\/(\d+)/],
  ['Opera', /\bOPR\/(\d+)/],
  ['Samsung Internet', /\bSamsungBrowser\/(\d+)/],
  ['Firefox', /\b(?:Firefox|FxiOS)\/(\d+)/],
  ['Chrome', /\b(?:Headless)?Chrom(?:e|ium)\/(\d+)/],
  ['Chrome', /\bCriOS\/(\d+)/],
  ['Safari', /\bVersion\/(\d+).*Safari/],
] as const
const SYSTEMS = [
  ['Android', /Android/],
  ['iOS', /iPhone|iPad/],
  ['Windows', /Windows/],
  ['macOS', /Mac OS/],
  ['ChromeOS', /CrOS/],
  ['Linux', /Linux/],
] as const

/** Characters of what no browser says of itself. */
const SHOWN_AGENT = 40

/** E.g. `Firefox 153, Linux`; of what is no browser's, the beginning. */
export function agent(userAgent = ''): string {
  for (const [name, pattern] of BROWSERS) {
    const version = pattern.exec(userAgent)?.[1]
    if (version === undefined) continue
    const system = SYSTEMS.find(([, mark]) => mark.test(userAgent))?.[0]
    return [`${name} ${version}`, system].filter(Boolean).join(', ')
  }
  return userAgent.slice(0, SHOWN_AGENT)
}
