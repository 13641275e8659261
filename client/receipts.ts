import type { Connection } from './connection'
import { type Env, readStorage, writeStorage } from './env'
import { MESSAGE_MARK } from './protocol'
import type { Requests } from './request'

/** How long an acknowledgement waits for others to go with it, ms. */
const DELAY = 200
const STORAGE_KEY = 'sseShown'
/** Characters of ids that are remembered: some 400 messages. */
const MOST = 20_000

/** What this client tells of between its connect and its goodbye: which messages were handled, and whether somebody is there. */
export interface Receipts {
  /** A message came that somebody listens to: it is acknowledged, and shown if it was not before. */
  take(lastEventId: string, show: () => void): void
  /** Tells now. @param isAway unless it is as before */
  report(isAway?: boolean): void
  /** The connection is closed; the goodbye has told what was to be told. */
  stop(): void
}

export function createReceipts(
  env: Env,
  { acknowledge, tell }: Requests,
  connection: () => Pick<Connection, 'finish'>,
): Receipts {
  /**
   * The messages that the application was shown: by this object, and, by the browser's other pages before it was made. A
   * message comes again if its acknowledgement was lost, also to the page that follows one that was killed.
   */
  let shown = readStorage(env, 'localStorage', STORAGE_KEY)
  let timer: unknown

  function stop(): void {
    env.clearTimeout(timer)
    timer = undefined
  }

  function report(isAway?: boolean): void {
    stop()
    const { report: path, connectionId } = connection().finish() ?? {}
    if (path) tell(path, { connectionId, away: isAway })
  }

  return {
    take(lastEventId, show) {
      // Each user's by itself: in one browser another may sign in.
      const message = connection().finish()?.owner + lastEventId.slice(lastEventId.indexOf(MESSAGE_MARK))
      // First: who hears of it may close, and the goodbye acknowledges too.
      acknowledge(lastEventId)
      timer ??= env.setTimeout(report, DELAY)
      if (shown.includes(message)) return
      show()
      // Not before: who was not told of it to the end is told again.
      shown = (shown + message).slice(-MOST)
      // Anew: other pages write there too.
      writeStorage(
        env,
        'localStorage',
        STORAGE_KEY,
        (readStorage(env, 'localStorage', STORAGE_KEY) + message).slice(-MOST),
      )
    },
    report,
    stop,
  }
}
