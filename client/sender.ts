import { backoff, MAX_TIMER } from './backoff'
import type { Connection } from './connection'
import type { Env } from './env'
import { AbortError, DestroyedError, ExpiredError, OutboxFullError } from './errors'
import { type Query, type ResolvedOptions, wrong } from './options'
import type { LoadOutbox, OutboxCore, OutboxPart, OutboxTask, Posting } from './part'
import { PATH_MESSAGE, PATH_SUFFIX, PATH_UPLOAD } from './protocol'
import { type Requests, toQuery } from './request'

/** Longest first delay, ms. */
const BASE_DELAY = 1000

export interface TaskOptions {
  /** Takes the request back, waiting or under way; the promise is rejected with an `AbortError`. */
  signal?: AbortSignal | null | undefined
  /** ms from the call until the answer; then the promise is rejected with an `ExpiredError`. Default: no end. */
  timeout?: number | null | undefined
}

/** What stands after path and body. */
export type Rest = [query?: Query | null, headers?: HeadersInit | null, options?: TaskOptions | null]

/**
 * Keeps the promise of every request, and hands them on to the outbox, a part that is loaded when it is needed. To a
 * server that announces none, it posts them itself.
 */
export interface Sender {
  message(path: string, body: unknown, ...rest: Rest): Promise<Response>
  upload(path: string, form: FormData, ...rest: Rest): Promise<Response>
  /** @param names asked when the turn comes: till then some may have been added or removed again */
  listeners(path: string, names: () => string[]): Promise<Response>
  /** Goes on at once, if it may: a connection is open again, or somebody will not wait for the timer. */
  flush(): void
  /** Rejects what waits, and what is added later. */
  destroy(): void
}

/** @param options read anew at each use: `url` changes with `switchURL` */
export function createSender(
  env: Env,
  options: ResolvedOptions,
  requests: Requests,
  connection: Connection,
  load: LoadOutbox,
): Sender {
  /** What is not settled, in the order of the calls. */
  const waiting = new Set<OutboxTask>()
  let part: OutboxPart | undefined
  let loads = 0
  /** Ends the pause. */
  let wake: (() => void) | undefined
  let timer: unknown
  let refusal: Error | undefined

  const core: OutboxCore = {
    env,
    ExpiredError,
    isConnected: () => Boolean(connection.finish),
    post: (posting, signal) => requests.post(posting, connection, signal),
  }

  /** Until `flush`, and no longer than so many ms. */
  const pause = (ms?: number): Promise<undefined> =>
    new Promise((resolve: (nothing?: undefined) => void) => {
      wake = resolve
      env.clearTimeout(timer)
      timer = ms && env.setTimeout(resolve, ms)
    })

  /** As long as there is no part: it is loaded, or, where none is announced, one is posted after the other. */
  async function run(): Promise<void> {
    let failures = 0
    while (!part) {
      const { finish } = connection
      const [head] = waiting
      try {
        if (!head || !finish) await pause()
        else if (finish.outbox) await loadPart(finish.outbox)
        else {
          head.resolve(await core.post(head, head.signal))
          failures = 0
        }
      } catch {
        loads++
        if (head && waiting.has(head)) await pause(backoff(failures++, BASE_DELAY, env.Math.random()))
      }
    }
  }

  async function loadPart(path: string): Promise<void> {
    // Browsers remember that an address has failed; while it loads, asking again is joined to that.
    const address = `${options.url}${path}&t=${loads}`
    // A module's own imports are relative to itself, not to the page.
    const { href } = new URL(address, env.document.baseURI)
    // `flush` ends the wait, so that what a new connection announces is looked at; a load under way is joined again.
    const module = await Promise.race([load(href), pause()])
    part = module?.default(core)
    for (const task of waiting) part?.add(task)
  }

  /** @param rest none: it is not limited; listening must not fail because much waits to be sent */
  function add(path: string, body: Posting['body'], rest?: Rest): Promise<Response> {
    const [query, headers, own] = rest ?? []
    const { maxQueued } = options
    return new Promise((resolve, reject) => {
      const { signal, timeout } = own ?? {}
      if (!((timeout ?? 0) >= 0)) throw wrong('timeout', 'a number from 0')
      if (refusal) throw refusal
      if (rest && waiting.size >= maxQueued) throw new OutboxFullError('Raise "maxQueued".')
      const controller = new AbortController()
      const task: OutboxTask = {
        path: path + PATH_SUFFIX,
        body,
        headers: new Headers(headers ?? {}),
        query: toQuery(query ?? {}),
        signal: controller.signal,
        resolve(response) {
          end()
          resolve(response)
        },
        reject: (error) => controller.abort(error),
      }
      task.signal.onabort = () => {
        end()
        reject(task.signal.reason)
      }
      const onAbort = (): void => task.reject(new AbortError('Aborted.', { cause: signal?.reason }))
      signal?.addEventListener('abort', onAbort)
      const onExpiry = (): void => task.reject(new ExpiredError('No answer.'))
      const expiry = timeout != null && env.setTimeout(onExpiry, Math.min(timeout, MAX_TIMER))
      const end = (): void => {
        env.clearTimeout(expiry)
        signal?.removeEventListener('abort', onAbort)
        waiting.delete(task)
      }
      waiting.add(task)
      if (signal?.aborted) onAbort()
      else if (part) part.add(task)
      // A head before it goes first.
      else if (waiting.size === 1) wake?.()
    })
  }

  void run()

  return {
    async message(path, body, ...rest) {
      const json = JSON.stringify(body)
      if (json === undefined) throw new TypeError('send() takes JSON.')
      return add(PATH_MESSAGE + encodeURIComponent(path), () => json, rest)
    },
    async upload(path, form, ...rest) {
      if (!(form instanceof FormData)) throw new TypeError('upload() takes FormData.')
      // As it is now: the application may fill its form anew before this one has left.
      const copy = new FormData()
      for (const [name, value] of form) copy.append(name, value)
      return add(PATH_UPLOAD + encodeURIComponent(path), () => copy, rest)
    },
    listeners(path, names) {
      const told = add(path, (connectionId) => JSON.stringify({ connectionId, listener: names() }))
      // Who does not wait for the answer need not mind its failure either.
      told.catch(() => {})
      return told
    },
    flush() {
      if (part) part.flush()
      else wake?.()
    },
    destroy() {
      refusal = new DestroyedError('Destroyed.')
      for (const task of waiting) task.reject(refusal)
      part?.destroy()
      // For good: it leaves no timer.
      void pause()
    },
  }
}
