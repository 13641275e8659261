import type { CatchUp, Count } from '../client/protocol'
import type { Cursor, Position } from './cursor'
import { encodeEntry } from './encode'
import type { Entry } from './store'

/** What a returning client gets of that which it missed. */
export interface Replay {
  /** Number of events. */
  readonly count: number
  /** Those of them that are to be acknowledged. */
  readonly messages: readonly Entry[]
  /** Made one by one as they are asked for: a long absence must not fill the memory. */
  events(): Generator<Buffer>
}

/** One event of a replay; with a count it stands for so many. */
interface Step {
  readonly entry: Entry
  count?: number
}

/**
 * @param entries All behind `cursor` (behind its range's start, if it has one) that are for this client, up to `head`.
 * @param catchUp What the client wants of each name; others: all.
 */
export function planReplay(
  entries: readonly Entry[],
  cursor: Cursor,
  head: number,
  catchUp: ReadonlyMap<string, CatchUp>,
): Replay {
  // A catch-up that was cut off is finished first, over the events that it was about: so nothing is counted twice.
  const first = cursor.range ?? { from: cursor.seq, to: head }
  const messages = new Set<string>()
  const plans = [planRange(first, cursor)]
  if (first.to < head) plans.push(planRange({ from: first.to, to: head }, { ...cursor, seq: first.to }))

  function planRange(range: { from: number; to: number }, { epoch, seq }: Position) {
    const within = entries.filter((entry) => entry.seq > range.from && entry.seq <= range.to)
    const steps = stepsOf(within, catchUp).filter(({ entry }) => entry.seq > seq && isFirst(entry))
    return { epoch, range, steps }
  }

  /** A message that was sent again stands in the log again. */
  function isFirst({ message }: Entry): boolean {
    if (message === undefined) return true
    const isNew = !messages.has(message)
    messages.add(message)
    return isNew
  }

  return {
    count: plans.reduce((sum, { steps }) => sum + steps.length, 0),
    messages: plans
      .flatMap(({ steps }) => steps.map(({ entry }) => entry))
      .filter(({ message }) => message !== undefined),
    *events() {
      for (const plan of plans) yield* encodeAll(plan)
    },
  }
}

/** In the order of the log. What stands for many has the place of the last of them. */
function stepsOf(entries: readonly Entry[], catchUp: ReadonlyMap<string, CatchUp>): Step[] {
  const steps: Step[] = []
  const digests = new Map<string, Step>()
  for (const entry of entries.toReversed()) {
    // What is to be acknowledged must come.
    const policy = (entry.message === undefined && catchUp.get(entry.name)) || 'all'
    if (policy === 'drop') continue
    const digested = policy === 'all' ? undefined : digestKey(policy, entry)
    const digest = digested === undefined ? undefined : digests.get(digested)
    if (digest?.count !== undefined) digest.count++
    if (digest !== undefined) continue
    const step: Step = policy === 'count' ? { entry, count: 1 } : { entry }
    if (digested !== undefined) digests.set(digested, step)
    steps.push(step)
  }
  return steps.reverse()
}

function digestKey(policy: CatchUp, { name, key }: Entry): string {
  return JSON.stringify([name, policy === 'latest' ? key : ''])
}

function* encodeAll({
  epoch,
  range,
  steps,
}: {
  epoch: string
  range: { from: number; to: number }
  steps: Step[]
}) {
  const isCounting = steps.some(({ count }) => count !== undefined)
  for (const [index, { entry, count }] of steps.entries()) {
    const isLast = index === steps.length - 1
    const behind = { epoch, seq: isLast ? range.to : entry.seq }
    const place = isCounting && !isLast ? { ...behind, range } : behind
    yield encodeEntry(entry.name, count === undefined ? entry.data : dataOf(count), place, entry.message)
  }
}

function dataOf(count: number): string {
  const data: Count = { count }
  return JSON.stringify(data)
}
