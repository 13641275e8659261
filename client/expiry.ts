import { MAX_TIMER } from './backoff'
import type { Entry } from './entry'
import type { Env } from './env'

/** One timer for all that expires. */
export interface Expiry {
  /** An entry that is to expire has come. */
  add(entry: Entry): void
  /** By the clock: timers stand still while a machine sleeps. */
  look(): void
  stop(): void
}

/** @param all what waits now @param onExpired rejects it */
export function createExpiry(env: Env, all: () => Entry[], onExpired: (entry: Entry) => void): Expiry {
  let timer: unknown
  /** When it rings, ms since 1970. */
  let next = Infinity

  function arm(time: number): void {
    stop()
    if (time === Infinity) return
    next = time
    timer = env.setTimeout(look, Math.min(MAX_TIMER, Math.max(0, time - env.Date.now())))
  }

  function look(): void {
    const now = env.Date.now()
    for (const entry of all()) if (entry.expiryTime <= now) onExpired(entry)
    arm(Math.min(...all().map(({ expiryTime }) => expiryTime)))
  }

  function stop(): void {
    env.clearTimeout(timer)
    next = Infinity
  }

  return {
    add({ expiryTime }) {
      if (expiryTime < next) arm(expiryTime)
    },
    look,
    stop,
  }
}
