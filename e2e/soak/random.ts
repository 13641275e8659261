/** Numbers that a seed decides for ever. */
export interface Random {
  /** From 0 to below 1. */
  next(): number
  /** Whole, from `least` to `most`. */
  whole(least: number, most: number): number
  chance(probability: number): boolean
  pick<T>(from: readonly T[]): T
  /** One of them, in proportion to its weight. */
  weighted<T extends { readonly weight: number }>(from: readonly T[]): T
  /** ms until the next of things that happen so often, at random. */
  pause(perSecond: number): number
}

/** mulberry32: small, fast, and good enough to choose faults. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0

  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  const whole = (least: number, most: number): number => least + Math.floor(next() * (most - least + 1))

  function pick<T>(from: readonly T[]): T {
    const picked = from[whole(0, from.length - 1)]
    if (picked === undefined) throw new RangeError('Nothing to pick from.')
    return picked
  }

  function weighted<T extends { readonly weight: number }>(from: readonly T[]): T {
    let left = next() * from.reduce((sum, { weight }) => sum + weight, 0)
    for (const one of from) {
      left -= one.weight
      if (left < 0) return one
    }
    return pick(from)
  }

  return {
    next,
    whole,
    pick,
    weighted,
    chance: (probability) => next() < probability,
    pause: (perSecond) => (-Math.log(1 - next()) * 1000) / perSecond,
  }
}
