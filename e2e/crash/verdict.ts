import type { Death, Effect, Line } from './journal'
import type { Outcome, Send } from './tab'

/** What came of a row. */
export interface Facts {
  readonly sent: readonly Send[]
  readonly journal: readonly Line[]
  readonly outcomes: ReadonlyMap<string, Outcome | null>
  readonly kept: readonly string[]
  readonly troubles: readonly string[]
  readonly shaOf: (file: number) => string | undefined
}

/** Each list names what is wrong. */
export interface Verdict {
  readonly effects: number
  readonly lost: string[]
  /** More than one effect. */
  readonly double: string[]
  /** Of those, what was not under way when a server was killed. */
  readonly inexcusable: string[]
  readonly misordered: string[]
  readonly broken: string[]
  /** Promises that did not resolve with 200, and bad news. */
  readonly unwell: string[]
  readonly kept: readonly string[]
}

const isEffect = (line: Line): line is Effect => line.what === 'effect'
const isDeath = (line: Line): line is Death => line.what === 'death'

export function judge(facts: Facts): Verdict {
  const { sent, journal, outcomes, kept, troubles } = facts
  const effects = journal.filter(isEffect)
  const byKey = new Map<string, Effect[]>()
  for (const effect of effects) byKey.set(effect.key, [...(byKey.get(effect.key) ?? []), effect])
  const double = [...byKey.values()].filter(({ length }) => length > 1)
  const unwell = [...outcomes].filter(([, outcome]) => outcome?.what !== 200)
  return {
    effects: effects.length,
    lost: sent.filter(({ key }) => !byKey.has(key)).map(({ key }) => key),
    double: double.map(keyOf),
    inexcusable: double.filter((some) => !wasUnderWay(some, facts)).map(keyOf),
    misordered: misorderedOf(effects),
    broken: sent.filter((one) => isBroken(one, byKey.get(one.key) ?? [], facts)).map(({ key }) => key),
    unwell: [...unwell.map(([key, outcome]) => `${key}: ${outcome?.what ?? 'not settled'}`), ...troubles],
    kept,
  }
}

/** What must not be. @param mayRepeat what was under way in a server that died */
export function wrongIn(verdict: Verdict, mayRepeat = false): string[] {
  const { lost, double, inexcusable, misordered, broken, unwell, kept } = verdict
  const twice = mayRepeat ? inexcusable : double
  const all = { lost, twice, misordered, broken, unwell, kept }
  const tell = (what: string, which: readonly string[]): string =>
    `${what}: ${which.slice(0, 5).join(', ')}${which.length > 5 ? `, … (${which.length})` : ''}`
  return Object.entries(all).flatMap(([what, which]) => (which.length ? [tell(what, which)] : []))
}

const keyOf = ([effect]: readonly Effect[]): string => effect?.key ?? ''

/** Each process did it once, and the page had no answer when the one before was killed. */
function wasUnderWay(effects: readonly Effect[], { journal, outcomes }: Facts): boolean {
  const runs = effects.map(({ run }) => run)
  const settledAt = outcomes.get(keyOf(effects))?.at ?? 0
  const deaths = journal.filter(isDeath)
  const diedBeforeAnswer = (run: string): boolean =>
    deaths.some((death) => death.run === run && death.at <= settledAt)
  return new Set(runs).size === runs.length && runs.slice(0, -1).every(diedBeforeAnswer)
}

/** In its lane each comes for the first time after the one before it, and so in each process. */
function misorderedOf(effects: readonly Effect[]): string[] {
  const first = [...new Map(effects.toReversed().map((effect) => [effect.key, effect])).values()].toReversed()
  const wrong: string[] = []
  const look = (
    some: readonly Effect[],
    placeOf: (effect: Effect) => string,
    isNext: (gap: number) => boolean,
  ) => {
    const last = new Map<string, number>()
    for (const effect of some) {
      const place = placeOf(effect)
      const before = last.get(place)
      if (before !== undefined && !isNext(effect.n - before)) wrong.push(`${effect.key} after ${before}`)
      last.set(place, effect.n)
    }
  }
  look(
    first,
    ({ from, lane }) => `${from} ${lane}`,
    (gap) => gap === 1,
  )
  look(
    effects,
    ({ run, from, lane }) => `${run} ${from} ${lane}`,
    (gap) => gap > 0,
  )
  return wrong
}

function isBroken({ file }: Send, effects: readonly Effect[], { shaOf }: Facts): boolean {
  const expected = file === undefined ? undefined : shaOf(file)
  return effects.some(({ sha256 }) => sha256 !== expected)
}
