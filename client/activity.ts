import { type Env, listen, readStorage, writeStorage } from './env'
import type { ActiveChange, Duration } from './event'
import type { ResolvedOptions } from './options'
import { createTimer } from './timer'

/** Is the person at the page, and for how long in all. It counts while the page is connected. */
export interface Activity {
  start(): void
  /** Not connected, nor about to be: nobody is at it, and nothing is watched. */
  stop(): void
  /** For good. */
  release(): void
  duration(): Duration
  /** @param seconds what counts as this tab's duration so far; `null` forgets it */
  setSessionDuration(seconds: number | null): void
}

/** How long without any input until the server is told of it, ms. */
const AWAY_AFTER = 60_000
const INPUTS = ['mouseover', 'click', 'keydown', 'wheel', 'touchstart']

/** @param onAway told after a minute without any input, and when that is over; not when a new connection begins */
export function createActivity(
  env: Env,
  options: ResolvedOptions,
  onChange: (change: ActiveChange) => void,
  onAway: (isAway: boolean) => void,
): Activity {
  const storageKey = `sseDuration${options.url}`
  /** Undefined before the first start, which is no change that anybody is told of, as in the original. */
  let active: boolean | undefined
  let activeSince = 0
  let lastInput = 0
  let wasAway = false
  const setLook = createTimer(env)

  const onInput = (): void => {
    lastInput = env.Date.now()
  }

  function duration(): Duration {
    return {
      sessionDuration: Math.round(Number(readStorage(env, 'sessionStorage', storageKey)) || 0),
      duration: active ? Math.round((env.Date.now() - activeSince) / 1000) : 0,
    }
  }

  function setSessionDuration(seconds: number | null): void {
    writeStorage(env, 'sessionStorage', storageKey, seconds)
  }

  function setActive(newActive: boolean): void {
    if (newActive === Boolean(active)) return
    const before = duration()
    const isFirst = active === undefined
    active = newActive
    if (newActive) activeSince = env.Date.now()
    else setSessionDuration(before.sessionDuration + before.duration)
    if (!isFirst) onChange({ oldActive: !newActive, newActive, duration: before })
  }

  function look(): void {
    // First: who hears of a change may close.
    setLook(look, options.leaveCheckInterval)
    const idle = env.Date.now() - lastInput
    setActive(idle <= options.leaveTimeout)
    const isAway = idle >= AWAY_AFTER
    if (isAway !== wasAway) onAway(isAway)
    wasAway = isAway
  }

  return {
    start() {
      onInput()
      // A new connection counts as one with somebody at it.
      wasAway = false
      look()
    },
    stop() {
      setLook()
      setActive(false)
    },
    release: listen(INPUTS, env.document, onInput, { capture: true, passive: true }),
    duration,
    setSessionDuration,
  }
}
