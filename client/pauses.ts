import { backoff } from './backoff'
import type { Env } from './env'

/** Longest first delay, ms. */
const BASE_DELAY = 1000

/** What failed in one request goes on together. */
interface Pause {
  readonly lanes: readonly Paused[]
  readonly timer: unknown
  /** The server's wish; ms since 1970. */
  readonly notBefore: number
}

/** What may have to wait. */
export interface Paused {
  pause: Pause | undefined
}

/** The delays after failures. */
export interface Pauses {
  /** @param after the server's wish, ms @param failures in a row, from 1 */
  hold(lanes: readonly Paused[], after: number, failures: number): void
  /** What this one waited for is gone. */
  leave(lane: Paused): void
  /** Does the server wish that it waits? */
  isBound(lane: Paused): boolean
  /** Ends all that nobody but we wished. */
  hurry(): void
  stop(): void
}

/** @param onEnd some may go on */
export function createPauses(env: Env, onEnd: () => void): Pauses {
  const pauses = new Set<Pause>()

  function end(pause: Pause): void {
    env.clearTimeout(pause.timer)
    pauses.delete(pause)
    for (const lane of pause.lanes) if (lane.pause === pause) lane.pause = undefined
  }

  const isBound = ({ pause }: Paused): boolean => pause !== undefined && env.Date.now() < pause.notBefore

  return {
    hold(lanes, after, failures) {
      const delay = after + backoff(failures - 1, BASE_DELAY, env.Math.random())
      const timer = env.setTimeout(() => {
        end(pause)
        onEnd()
      }, delay)
      const pause: Pause = { lanes, timer, notBefore: env.Date.now() + after }
      pauses.add(pause)
      for (const lane of lanes) lane.pause = pause
    },
    leave(lane) {
      if (!isBound(lane)) lane.pause = undefined
    },
    isBound,
    hurry() {
      for (const pause of pauses) if (env.Date.now() >= pause.notBefore) end(pause)
    },
    stop() {
      for (const pause of pauses) end(pause)
    },
  }
}
