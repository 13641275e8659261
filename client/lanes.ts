import { fitting, heading, isBatchable } from './batch'
import type { Entry } from './entry'
import type { Exchange } from './exchange'
import type { Outcome } from './judge'
import type { OutboxCore } from './part'
import { createPauses, type Paused } from './pauses'
import type { ConnectFinish } from './protocol'
import type { Watch } from './unauthorized'

/** ms that one attempt may take: a dead line may never say so. */
const POST_TIMEOUT = 60_000
const UPLOAD_TIMEOUT = 600_000

/** First in, first out. The head leaves when it is done, not before; one request is under way at a time. */
interface Lane extends Paused {
  readonly queue: Entry[]
  attempt: Attempt | undefined
}

/** One request, with what is under way in it. */
interface Attempt {
  /** Not answered yet. */
  readonly open: Set<Entry>
  /** Those that wait for it. */
  readonly lanes: Set<Lane>
  /** Those of which something was answered. */
  readonly moved: Set<Lane>
  readonly controller: AbortController
  /** When it left. */
  readonly refusals: number
  deadline: unknown
}

/** Who of those that wait may leave, and what becomes of them. */
export interface Lanes {
  push(entry: Entry): void
  /** Takes it back. */
  remove(entry: Entry): void
  /** Looks who may leave now. */
  next(): void
  /** The same, but who waits after a failure need not, unless the server said so. */
  hurry(): void
  /** What could leave together if nothing were under way. @param most of one lane */
  last(most: number): Entry[]
  /** All, lane by lane. */
  all(): Entry[]
  stop(): void
}

export interface LaneOptions {
  readonly core: OutboxCore
  readonly exchange: Exchange
  readonly gate: Pick<Watch, 'refuse' | 'open' | 'count'>
  /** May anything leave? */
  isOpen(): boolean
  /** Is it of the user who is connected? */
  isOurs(entry: Entry): boolean
  onAnswer(entry: Entry, response: Response): void
  /** It is rejected, and removed then. */
  onHopeless(entry: Entry, cause: unknown): void
}

export function createLanes(options: LaneOptions): Lanes {
  const { core, exchange, gate } = options
  const { env } = core
  const lanes = new Map<string, Lane>()
  const pauses = createPauses(env, next)
  let isLooking = false

  /** Not at once: what is sent in one turn may go together, and who hears of an answer may send before the others are settled. */
  function next(): void {
    if (isLooking) return
    isLooking = true
    env.queueMicrotask(() => {
      isLooking = false
      look()
    })
  }

  function look(): void {
    const limits = exchange.limits()
    const together: Entry[] = []
    for (const [name, lane] of lanes) {
      if (!lane.queue.length && !lane.attempt && !lane.pause) lanes.delete(name)
      // Asked each time: what has just left may have closed the gate.
      if (lane.attempt || lane.pause || !options.isOpen()) continue
      const entries = leaving(lane, limits?.entries ?? 1)
      const [head] = entries
      if (limits && head && isBatchable(head)) together.push(...entries)
      else if (head) sendOne(head, lane)
    }
    if (limits) sendTogether(together, limits)
  }

  const leaving = ({ queue }: Lane, most: number): Entry[] => heading(queue, options.isOurs, most)

  function sendTogether(entries: readonly Entry[], limits: NonNullable<ConnectFinish['batch']>): void {
    let rest = entries
    while (rest.length) {
      const some = fitting(rest, limits)
      rest = rest.slice(some.length)
      const busy = new Set(some.map(({ lane }) => lane))
      // The rest of a lane waits for what went before.
      rest = rest.filter(({ lane }) => !busy.has(lane))
      const [head] = some
      if (head && some.length === 1) sendOne(head, laneOf(head))
      else sendMany(some)
    }
  }

  function begin(entries: readonly Entry[]): Attempt {
    const attempt: Attempt = {
      open: new Set(entries),
      lanes: new Set(entries.map(laneOf)),
      moved: new Set(),
      controller: new AbortController(),
      refusals: gate.count(),
      deadline: undefined,
    }
    for (const lane of attempt.lanes) lane.attempt = attempt
    limit(attempt)
    return attempt
  }

  /** So long it may last from now on. */
  function limit(attempt: Attempt): void {
    env.clearTimeout(attempt.deadline)
    const [first] = attempt.open
    attempt.deadline = env.setTimeout(
      () => {
        attempt.controller.abort()
        end(attempt, { failure: new core.ExpiredError('No answer.') })
      },
      first?.kind === 'upload' ? UPLOAD_TIMEOUT : POST_TIMEOUT,
    )
  }

  function sendOne(entry: Entry, lane: Lane): void {
    const attempt = begin([entry])
    const { signal } = attempt.controller
    const onMoved = (): void => {
      if (lane.attempt === attempt) limit(attempt)
    }
    void exchange.one(entry, signal, onMoved).then((outcome) => end(attempt, outcome))
  }

  function sendMany(entries: readonly Entry[]): void {
    const attempt = begin(entries)
    const { signal } = attempt.controller
    const onAnswer = (entry: Entry, outcome: Outcome): void => answered(attempt, entry, outcome)
    void exchange.many(entries, { signal }, onAnswer).then((outcome) => end(attempt, outcome))
  }

  /** One of several. Its lane need not wait for the others. */
  function answered(attempt: Attempt, entry: Entry, outcome: Outcome): void {
    const lane = laneOf(entry)
    if (lane.attempt !== attempt || !attempt.open.delete(entry)) return
    limit(attempt)
    attempt.moved.add(lane)
    if (!settle(entry, outcome)) stopped([entry], outcome, attempt)
    else if (openIn(attempt, lane)) return
    release(attempt, lane)
    next()
  }

  /** What was not answered by then was not, or failed. */
  function end(attempt: Attempt, outcome: Outcome): void {
    const heads: Entry[] = []
    const { size } = attempt.lanes
    for (const lane of attempt.lanes) {
      const head = openIn(attempt, lane)
      release(attempt, lane)
      if (!head) continue
      // The whole time of a batch was not enough for it.
      if (outcome === 'open') head.isSlow = !attempt.moved.has(lane) && exchange.limits() !== undefined
      // Each has a body of its own to read.
      if (!settle(head, size > 1 ? copyOf(outcome) : outcome)) heads.push(head)
    }
    if (heads.length) stopped(heads, outcome, attempt)
    next()
  }

  /** The first of the lane that is not answered. */
  function openIn({ open }: Attempt, lane: Lane): Entry | undefined {
    for (const entry of open) if (laneOf(entry) === lane) return entry
    return undefined
  }

  function release(attempt: Attempt, lane: Lane): void {
    lane.attempt = undefined
    attempt.lanes.delete(lane)
    if (!attempt.lanes.size) env.clearTimeout(attempt.deadline)
  }

  function stopped(entries: readonly Entry[], outcome: Outcome, { refusals }: Attempt): void {
    if (outcome === 'unauthorized') gate.refuse(refusals)
    else if (outcome !== 'open') {
      const after = ('response' in outcome && outcome.after) || 0
      pauses.hold(entries.map(laneOf), after, Math.max(1, ...entries.map(({ attempts }) => attempts)))
    }
  }

  /** @returns whether what is behind it may leave */
  function settle(entry: Entry, outcome: Outcome): boolean {
    // Taken back meanwhile.
    if (entry.task.signal.aborted) return true
    if (outcome === 'open' || outcome === 'unauthorized') return false
    const isHopeless =
      ('failure' in outcome && outcome.isFinal) ||
      (core.finish() !== undefined && ++entry.attempts >= core.options.maxAttempts)
    if ('response' in outcome) {
      gate.open()
      if (outcome.after !== undefined && !isHopeless) return false
      take(entry)
      options.onAnswer(entry, outcome.response)
    } else {
      if (!isHopeless) return false
      options.onHopeless(entry, outcome.failure)
    }
    return true
  }

  function laneOf({ lane: name }: Entry): Lane {
    let lane = lanes.get(name)
    if (!lane) {
      lane = { queue: [], attempt: undefined, pause: undefined }
      lanes.set(name, lane)
    }
    return lane
  }

  /** @returns was it the first? */
  function take(entry: Entry): boolean {
    const { queue } = laneOf(entry)
    const index = queue.indexOf(entry)
    if (index >= 0) queue.splice(index, 1)
    return index === 0
  }

  return {
    push(entry) {
      const { queue } = laneOf(entry)
      // What was sent before a reload goes before what this page has sent, in the order in which it was kept; a clock may be set back.
      const later = queue.findIndex(({ isRevived, id = 0 }) => !isRevived || id > (entry.id ?? 0))
      queue.splice(entry.isRevived && later >= 0 ? later : queue.length, 0, entry)
    },
    remove(entry) {
      const lane = laneOf(entry)
      const wasHead = take(entry)
      const { attempt } = lane
      attempt?.open.delete(entry)
      if (attempt && !openIn(attempt, lane)) {
        release(attempt, lane)
        if (!attempt.lanes.size) attempt.controller.abort(entry.task.signal.reason)
      }
      // What follows need not wait for the delay of a head that is gone.
      if (wasHead) pauses.leave(lane)
      next()
    },
    next,
    hurry() {
      pauses.hurry()
      next()
    },
    last: (most) =>
      [...lanes.values()]
        .filter((lane) => !pauses.isBound(lane))
        .flatMap((lane) => leaving(lane, most))
        .filter(isBatchable),
    all: () => [...lanes.values()].flatMap(({ queue }) => queue),
    stop() {
      pauses.stop()
      for (const lane of lanes.values()) {
        lane.attempt?.controller.abort()
        if (lane.attempt) release(lane.attempt, lane)
      }
    },
  }
}

/** Each has a body of its own to read. */
function copyOf(outcome: Outcome): Outcome {
  if (typeof outcome !== 'object' || !('response' in outcome)) return outcome
  return { ...outcome, response: outcome.response.clone() }
}
