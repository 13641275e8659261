import { retryAfter } from './backoff'
import { HEADER_KEY } from './protocol'

/** What became of one attempt: a response, and with `after` the wish to try again, not before so many ms; or a failure. */
export type Outcome =
  | { readonly response: Response; readonly after?: number }
  /** `isFinal`: it would fail each time. */
  | { readonly failure: unknown; readonly isFinal?: boolean }
  /** The server does not know who is asking. */
  | 'unauthorized'
  /** Others were answered, this was not. */
  | 'open'

/**
 * What an answer means. What may be sent again is decided here alone.
 * @param isKeyed whether the server tells what a handler has answered from what came before it
 */
export function judge(response: Response, now: number, isKeyed: boolean): Outcome {
  const { status, headers } = response
  // Without keys it might be done twice.
  if (!isKeyed) return { response }
  if (status === 401 && !headers.has(HEADER_KEY)) return 'unauthorized'
  const isTemporary = status === 408 || status === 425 || status === 429 || status >= 500
  if (!isTemporary) return { response }
  return { response, after: retryAfter(headers.get('Retry-After'), now) }
}
