import type { Answer, BatchAnswer, BatchEntry } from '../protocol'
import { BASE, type FakePage, type SeenRequest } from './fake'

/** What a handler is called with. */
export interface Call {
  readonly owner: string
  readonly key: string
  /** As it was given to `send` or `upload`. */
  readonly path: string
  /** The message's own parameters. */
  readonly query: string
  readonly body: unknown
}

/** What a request is answered. */
export type Given = Omit<BatchAnswer, 'index'>

export type Handler = (call: Call) => Given | Promise<Given>

interface Known {
  readonly fingerprint: string
  readonly answer: Promise<Given>
}

/** ms until a batch is answered with what there is. */
const BATCH_TIME = 2000

/**
 * The server's half of PROTOCOL.md, section 6: runs each key once for its owner, remembers the answer, takes batches.
 * It outlives streams and restarts of the server before it.
 */
export class FakeInbox {
  /** What the handler was called with, and ran. */
  readonly calls: Call[] = []
  /** Who is asking, as the server knows it by a cookie. */
  owner = 'anna'
  limits = { entries: 100, bytes: 65_536 }
  handler: Handler = (call) => answer({ path: call.path, body: call.body })
  readonly #page: FakePage
  readonly #known = new Map<string, Known>()

  /** Stands behind the server of this page from now on. */
  constructor(page: FakePage) {
    this.#page = page
    page.server.behaviour = (request) => this.take(request)
    this.announce()
  }

  /** The next streams are of this user. */
  announce(owner = this.owner): void {
    this.owner = owner
    this.#page.server.finish = { outbox: '/outbox.js?v=9', owner, batch: this.limits }
  }

  /** The n of each call's body. */
  get numbers(): unknown[] {
    return this.calls.map(({ body }) => (body as { n?: unknown }).n)
  }

  /** A behaviour of the FakeServer. */
  take(request: SeenRequest, owner = this.owner): Promise<Response> | null {
    if (request.path === `${BASE}/connect/batch.do`)
      return this.#batch(owner, JSON.parse(String(request.body)).entries)
    const [, kind, path = ''] = /\/connect\/(message|upload)\/(.*)\.do$/.exec(request.path) ?? []
    if (!kind) return null
    const key = /^"(.*)"$/.exec(request.headers.get('Idempotency-Key') ?? '')?.[1]
    const query = String(request.query).replace(/^.*connectionId=[^&]*&?/, '')
    const body = kind === 'message' ? JSON.parse(String(request.body)) : request.body
    const call = { owner, key: key ?? '', path: decodeURIComponent(path), query, body }
    return (key === undefined ? this.#call(call) : this.#once(call)).then(toResponse)
  }

  async #once(call: Call): Promise<Given> {
    const name = `${call.owner} ${call.key}`
    const fingerprint = JSON.stringify([call.path, call.query, call.body])
    const known = this.#known.get(name)
    if (known && known.fingerprint !== fingerprint) return answer('other', 422)
    if (known) {
      const { status, headers, body } = await known.answer
      return { status, headers: { ...headers, 'Idempotent-Replayed': 'true' }, body }
    }
    const running = this.#call(call).then(({ status, headers, body }) => {
      if (!isRemembered(status)) this.#known.delete(name)
      return { status, headers: { ...headers, 'Idempotency-Key': `"${call.key}"` }, body }
    })
    this.#known.set(name, { fingerprint, answer: running })
    return running
  }

  async #call(call: Call): Promise<Given> {
    const given = await this.handler(call)
    if (isRemembered(given.status)) this.calls.push(call)
    return given
  }

  async #batch(owner: string, entries: readonly BatchEntry[]): Promise<Response> {
    if (entries.length > this.limits.entries) return toResponse(answer(null, 413))
    const lines = new TransformStream<string, string>()
    const writer = lines.writable.getWriter()
    let isOver = false
    const run = async (lane: string): Promise<void> => {
      for (const [index, { key, path, query = '', body, lane: name }] of entries.entries()) {
        if (name !== lane || isOver) continue
        const given = await (key === 'bad'
          ? answer(null, 400)
          : this.#once({ owner, key, path, query, body }))
        if (isOver) return
        void writer.write(`${JSON.stringify({ index, ...given } satisfies BatchAnswer)}\n`)
        if (!isRemembered(given.status)) return
      }
    }
    const { clock } = this.#page
    let timer: ReturnType<typeof clock.setTimeout> | undefined
    const timeout = new Promise<void>((resolve) => {
      timer = clock.setTimeout(() => resolve(), BATCH_TIME)
    })
    const all = Promise.all([...new Set(entries.map(({ lane }) => lane))].map(run))
    void Promise.race([all, timeout]).then(() => {
      clock.clearTimeout(timer as never)
      isOver = true
      void writer.close()
    })
    const body = lines.readable.pipeThrough(new TextEncoderStream())
    return new Response(body, { headers: { 'Content-Type': 'application/x-ndjson' } })
  }
}

const isRemembered = (status: number): boolean => ![408, 425, 429].includes(status) && status < 500

/** What a handler gives. */
export function answer(data: unknown, status = 200, headers: Record<string, string> = {}): Given {
  const body: Answer<unknown> = { success: status < 400, code: status, data, message: '', errorMessage: '' }
  return { status, headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) }
}

function toResponse({ status, headers, body }: Given): Response {
  return new Response(body, { status, headers })
}
