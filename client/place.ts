import { type Env, readStorage, writeStorage } from './env'
import { type ConnectFinish, type Gap, MODE_POLL } from './protocol'

/** How long polls are made before a stream is tried again, ms. */
const POLL_TIME = 600_000

/** From where the next response is to go on; a poll also says as which connection. */
export interface Ask {
  lastEventId: string | undefined
  mode?: typeof MODE_POLL
  connectionId?: string
}

/** Where this client is in the server's log, and how it asks for what follows. */
export interface Place {
  /** @param finish of the connection that is open */
  ask(finish?: ConnectFinish): Ask
  isPolling(): boolean
  /** Nothing came through: something on the way may hold back what is not complete, so polls are tried; or streams again. */
  switchMode(): void
  /** At another address there is another log. */
  forget(): void
  /** The server's answer to one that comes, or comes back. Returns the gap, if it cannot say what was missed. */
  greeted(finish: ConnectFinish, id: string): Gap | undefined
  /** An event came. Returns whether it was sent while this client was away. */
  passed(id: string): boolean
}

/** @param storageKey where in sessionStorage the cursor outlives the page; none: it does not */
export function createPlace(env: Env, storageKey = ''): Place {
  let lastEventId = (storageKey && readStorage(env, 'sessionStorage', storageKey)) || undefined
  /** Events to come that were missed. */
  let toReplay = 0
  let pollUntil = 0

  const isPolling = (): boolean => env.Date.now() < pollUntil

  function move(id: string): void {
    lastEventId = id || undefined
    if (storageKey) writeStorage(env, 'sessionStorage', storageKey, id)
  }

  return {
    ask: (finish) => ({
      lastEventId,
      ...(isPolling() && { mode: MODE_POLL, connectionId: finish?.connectionId ?? 'none' }),
    }),
    isPolling,
    switchMode() {
      pollUntil = isPolling() ? 0 : env.Date.now() + POLL_TIME
    },
    forget() {
      move('')
      storageKey = ''
    },
    greeted({ recovered, replayed, reason }, id) {
      const gap: Gap | undefined = lastEventId && !recovered ? { reason: reason ?? 'unknown' } : undefined
      toReplay = replayed ?? 0
      move(id)
      return gap
    },
    passed(id) {
      if (id) move(id)
      return toReplay-- > 0
    },
  }
}
