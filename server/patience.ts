import type { Readable } from 'node:stream'
import { HttpError } from './errors'

/** How long a body is waited for, ms. */
export interface Patience {
  /** Without any byte. */
  readonly idle: number
  /** From its first to its last. */
  readonly total: number
}

/**
 * Watches a body that is being read.
 * @param late Hears, once, that it did not come in time.
 * @returns ends the watch.
 */
export function watch(
  body: Readable,
  { idle, total }: Patience,
  late: (error: HttpError) => void,
): () => void {
  const onLate = () => {
    stop()
    // Who does not send would not take an answer as the end either.
    late(new HttpError(408, 'The body did not come in time.', { Connection: 'close' }))
  }
  const silence = setTimeout(onLate, idle)
  const deadline = setTimeout(onLate, total)
  const onData = () => void silence.refresh()
  const stop = () => {
    clearTimeout(silence)
    clearTimeout(deadline)
    // A timer that is refreshed runs again, even when it was cleared.
    body.off('data', onData)
  }
  body.on('data', onData)
  return stop
}
