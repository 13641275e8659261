import type { Figures } from '../protocol'

/** Events per second. */
export interface Rates {
  sent: number
  delivered: number
  received: number
}

/** ms; what lies further apart says nothing of a second between. */
const LONGEST = 5000

/** @returns `undefined` if the two are no neighbours, or not of the same process. */
export function ratesBetween(before: Figures | undefined, now: Figures): Rates | undefined {
  if (before === undefined) return undefined
  const ms = now.time - before.time
  const rate = (kind: keyof Rates) => ((now[kind] - before[kind]) * 1000) / ms
  const rates = { sent: rate('sent'), delivered: rate('delivered'), received: rate('received') }
  return ms > 0 && ms <= LONGEST && Object.values(rates).every((value) => value >= 0) ? rates : undefined
}
