import { type Env, readStorage, writeStorage } from './env'
import type { ActiveChange, Duration } from './event'
import type { ResolvedOptions } from './options'

/** Is the person at the page, and for how long in all. It counts while the page is connected. */
export interface Activity {
  start(): void
  /** Not connected, nor about to be: nobody is at it, and nothing is watched. */
  stop(): void
  duration(): Duration
  /** @param seconds what counts as this tab's duration so far; `null` forgets it */
  setSessionDuration(seconds: number | null): void
}

const INPUTS = ['mouseover', 'click', 'keydown', 'wheel', 'touchstart']

export function createActivity(
  env: Env,
  options: ResolvedOptions,
  onChange: (change: ActiveChange) => void,
): Activity {
  const storageKey = `sseDuration${options.url}`
  /** Undefined before the first start, which is no change that anybody is told of, as in the original. */
  let active: boolean | undefined
  let activeSince = 0
  let lastInput = 0
  let interval: unknown

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

  function setInputs(method: 'addEventListener' | 'removeEventListener'): void {
    for (const name of INPUTS) env.document[method](name, onInput, { capture: true, passive: true })
  }

  return {
    start() {
      onInput()
      if (!interval) {
        setInputs('addEventListener')
        interval = env.setInterval(() => {
          setActive(env.Date.now() - lastInput < options.leaveTimeout)
        }, options.leaveCheckInterval)
      }
      setActive(true)
    },
    stop() {
      if (interval) setInputs('removeEventListener')
      env.clearInterval(interval)
      interval = undefined
      setActive(false)
    },
    duration,
    setSessionDuration,
  }
}
