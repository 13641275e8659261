import type { Connection } from './connection'
import type { Env } from './env'
import type { Query } from './options'
import { createOutbox, type Outbox, type TaskOptions } from './outbox'
import { PATH_MESSAGE, PATH_SUFFIX, PATH_UPLOAD } from './protocol'
import { type Posting, type Requests, toQuery } from './request'

/** ms that one attempt may take. Longer than any sane handler: what is sent again may run twice. */
const POST_TIMEOUT = 60_000
const UPLOAD_TIMEOUT = 600_000
const JSON_TYPE = 'application/json;charset=UTF-8'

/** Makes a posting of what the application gives, and queues it. */
export interface Sender {
  message(
    path: string,
    body: unknown,
    query: Query | null,
    headers: HeadersInit | null,
    options?: TaskOptions | null,
  ): Promise<Response>
  upload(
    path: string,
    form: FormData,
    query: Query | null,
    headers: HeadersInit | null,
    options?: TaskOptions | null,
  ): Promise<Response>
  /** @param names asked when the turn comes: till then some may have been added or removed again */
  listeners(path: string, names: () => string[]): Promise<Response>
  flush(): void
  destroy(): void
}

export function createSender(env: Env, requests: Requests, connection: Connection, limit: number): Sender {
  const config = { env, limit, isReady: () => connection.finish !== undefined }
  const outbox = createOutbox(config)
  /** Changes of listeners need not wait behind an upload. */
  const changes = createOutbox(config)

  /** @param type default of the content type; none for a form */
  function add(
    queue: Outbox,
    path: string,
    body: Posting['body'],
    type?: string,
    query?: Query | null,
    given?: HeadersInit | null,
    options?: TaskOptions | null,
  ): Promise<Response> {
    const headers = new Headers(given ?? {})
    if (type && !headers.has('Content-Type')) headers.set('Content-Type', type)
    const posting = { path: path + PATH_SUFFIX, body, headers, query: toQuery(query ?? {}) }
    const timeout = type ? POST_TIMEOUT : UPLOAD_TIMEOUT
    return queue.add((signal) => requests.post(posting, connection, signal), timeout, options)
  }

  return {
    async message(path, body, ...rest) {
      const json = JSON.stringify(body)
      if (json === undefined) throw new TypeError('send() takes JSON.')
      return add(outbox, PATH_MESSAGE + encodeURIComponent(path), () => json, JSON_TYPE, ...rest)
    },
    async upload(path, form, ...rest) {
      if (!(form instanceof FormData)) throw new TypeError('upload() takes a FormData.')
      // As it is now: the application may fill its form anew before this one has left.
      const copy = new FormData()
      for (const [name, value] of form) copy.append(name, value)
      return add(outbox, PATH_UPLOAD + encodeURIComponent(path), () => copy, undefined, ...rest)
    },
    listeners(path, names) {
      const body = (connectionId: string): string => JSON.stringify({ connectionId, listener: names() })
      const told = add(changes, path, body, JSON_TYPE)
      // Who does not wait for the answer need not mind its failure either.
      told.catch(() => {})
      return told
    },
    flush() {
      outbox.flush()
      changes.flush()
    },
    destroy() {
      outbox.destroy()
      changes.destroy()
    },
  }
}
