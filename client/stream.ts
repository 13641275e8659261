import { retryAfter } from './backoff'
import type { Env } from './env'
import { ConnectError } from './errors'
import { createParser, type ParserHandlers } from './parser'

/** One request for a stream. */
export interface StreamRequest {
  url: string
  init: RequestInit
  headers(): Promise<Headers>
  /** Asking for the headers again may give others; a 401 is worth a second try. */
  canRenew: boolean
}

/** How an attempt ended: for good (`error`), or to be tried again, not before `retryAfter` ms, or just after `delay` ms. */
export interface StreamEnd {
  reason: string
  error?: ConnectError
  retryAfter?: number
  delay?: number | undefined
}

/** Reason of an end that the server has made. */
export const END = 'end'

const NO_SERVICE = 'No event stream: check "url".'
const FATAL: Record<number, string> = {
  200: NO_SERVICE,
  204: 'The server wants no stream.',
  401: 'Sign in, then connect().',
  403: 'The server refuses this.',
  404: NO_SERVICE,
}

/** One attempt: one response read as events. Resolves when it ended, in whatever way, and never rejects. */
export async function readStream(
  env: Env,
  request: StreamRequest,
  handlers: ParserHandlers,
  signal: AbortSignal,
): Promise<StreamEnd> {
  try {
    let response = await dial(env, request, signal)
    if (response.status === 401 && request.canRenew) response = await dial(env, request, signal)
    if (!isStream(response)) return refused(response, env.Date.now())
    await readBody(response, handlers)
    return { reason: END }
  } catch {
    return { reason: 'network' }
  }
}

async function dial(env: Env, request: StreamRequest, signal: AbortSignal): Promise<Response> {
  const headers = await request.headers()
  headers.set('Accept', 'text/event-stream')
  return env.fetch(request.url, { ...request.init, cache: 'no-store', headers, signal })
}

function isStream({ status, headers }: Response): boolean {
  return status === 200 && /^text\/event-stream\b/i.test(headers.get('Content-Type') ?? '')
}

function refused(response: Response, now: number): StreamEnd {
  const { status, headers } = response
  response.body?.cancel().catch(() => {})
  const end: StreamEnd = { reason: `http-${status}`, retryAfter: retryAfter(headers.get('Retry-After'), now) }
  const message = FATAL[status]
  if (message) end.error = new ConnectError(message, status)
  return end
}

async function readBody(response: Response, handlers: ParserHandlers): Promise<void> {
  const parse = createParser(handlers)
  const decoder = new TextDecoder()
  const reader = response.body?.getReader()
  for (;;) {
    const piece = await reader?.read()
    if (!piece || piece.done) return
    handlers.onLife()
    parse(decoder.decode(piece.value, { stream: true }))
  }
}
