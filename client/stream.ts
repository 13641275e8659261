import { retryAfter } from './backoff'
import type { Env } from './env'
import { ConnectError } from './errors'
import { createParser, type ParserHandlers } from './parser'

/** How an attempt ended: for good (`error`), or to be tried again, not before `retryAfter` ms, or just after `delay` ms. */
export interface StreamEnd {
  reason: string
  error?: ConnectError
  retryAfter?: number
  delay?: number | undefined
}

/** Reason of an end that the server has made. */
export const END = 'end'

const NO_SERVICE = 'No event stream at "url".'
const FATAL: Record<number, string> = {
  200: NO_SERVICE,
  204: 'Refused.',
  401: 'Sign in, then connect().',
  403: 'Refused.',
  404: NO_SERVICE,
}

/** One attempt: one response read as events. Resolves when it ended, in whatever way, and never rejects. */
export async function readStream(
  env: Env,
  asked: Promise<Response>,
  handlers: ParserHandlers,
): Promise<StreamEnd> {
  try {
    const response = await asked
    if (!isStream(response)) return refused(env, response)
    await readBody(response, handlers)
    return { reason: END }
  } catch {
    return { reason: 'network' }
  }
}

function isStream({ status, headers }: Response): boolean {
  return status === 200 && /^text\/event-stream\b/i.test(headers.get('Content-Type') as string)
}

function refused(env: Env, response: Response): StreamEnd {
  const { status, headers } = response
  const end: StreamEnd = {
    reason: `http-${status}`,
    retryAfter: retryAfter(headers.get('Retry-After'), env.Date.now()),
  }
  const message = FATAL[status]
  if (message) end.error = new ConnectError(message, status)
  return end
}

async function readBody(response: Response, handlers: ParserHandlers): Promise<void> {
  const parse = createParser(handlers)
  const decoder = new TextDecoder()
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    handlers.onLife()
    parse(decoder.decode(value, { stream: true }))
  }
}
