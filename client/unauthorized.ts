import type { OutboxCore } from './part'

/** First and longest time between two looks whether the application gives other headers, ms. */
const FIRST_LOOK = 5000
const LONGEST_LOOK = 300_000

/** What waits while the server does not know who is asking. */
export interface Watch {
  isOpen(): boolean
  /** Refusals so far. */
  count(): number
  /**
   * 401. The first time the headers are asked again at once, then everything waits.
   * @param count as it was when the request left: those that were under way together are refused together
   */
  refuse(count: number): void
  /** Goes on. */
  open(): void
  stop(): void
}

/** @param onOpen other headers were given */
export function createWatch({ env, headers, emit }: OutboxCore, onOpen: () => void): Watch {
  let count = 0
  /** Without an answer of another kind between. */
  let inRow = 0
  /** Another one for each wait. */
  let wait: object | undefined
  let timer: unknown

  async function current(): Promise<string> {
    try {
      return JSON.stringify([...(await headers())])
    } catch {
      // It is reported already; none are no others.
      return ''
    }
  }

  async function watch(mine: object): Promise<void> {
    const before = await current()
    const look = (ms: number): void => {
      if (wait !== mine) return
      timer = env.setTimeout(async () => {
        const now = await current()
        if (now === '' || now === before) return look(Math.min(LONGEST_LOOK, 2 * ms))
        if (wait !== mine) return
        open()
        onOpen()
      }, ms)
    }
    look(FIRST_LOOK)
  }

  function open(): void {
    inRow = 0
    if (!wait) return
    stop()
    emit({ type: 'resumed' })
  }

  function stop(): void {
    wait = undefined
    env.clearTimeout(timer)
  }

  return {
    isOpen: () => !wait,
    count: () => count,
    refuse(seen) {
      if (seen < count || wait) return
      count++
      if (++inRow === 1) return
      wait = {}
      // First: who hears of it may give other headers at once.
      void watch(wait)
      emit({ type: 'waiting', reason: 'unauthorized' })
    },
    open,
    stop,
  }
}
