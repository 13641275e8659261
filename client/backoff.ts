/** Longest delay before the jitter, ms. */
export const MAX_DELAY = 30_000
/** The most that a timer can be asked for, ms; at more it fires at once. */
export const MAX_TIMER = 2 ** 31 - 1
/** Longest `Retry-After` that is obeyed, ms: a day. */
const MAX_RETRY_AFTER = 86_400_000
/** Least base, ms: a server that says `retry: 0` must not be hammered when it is down. */
const MIN_BASE = 100

/**
 * Full jitter: a random time up to the capped exponential.
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 * @param attempt failed attempts so far, from 0
 * @param base the longest first delay, ms
 * @param random from 0 to below 1
 */
export function backoff(attempt: number, base: number, random: number): number {
  return random * Math.min(MAX_DELAY, Math.max(MIN_BASE, base) * 2 ** attempt)
}

/**
 * ms that a `Retry-After` header asks for, 0 if it says nothing usable. It is seconds or an HTTP date (RFC 9110, 10.2.3).
 * @param now ms since 1970
 */
export function retryAfter(header: string | null, now: number): number {
  const ms = Number(header) * 1000 || Date.parse(header as string) - now
  return Math.min(MAX_RETRY_AFTER, Math.max(0, ms || 0))
}
