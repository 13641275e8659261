import { MAX_TIMER } from './backoff'
import type { Env } from './env'

/** One timer: each call ends what the one before began; without a time that is all. */
export function createTimer(env: Env): (run?: () => void, ms?: number | null) => void {
  let timer: unknown
  return (run, ms) => {
    env.clearTimeout(timer)
    timer = ms != null && env.setTimeout(run as () => void, Math.min(ms, MAX_TIMER))
  }
}
