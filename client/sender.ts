import { backoff } from './backoff'
import type { Env } from './env'
import { AbortError, DestroyedError, ExpiredError, OutboxFullError } from './errors'
import { check, type Query } from './options'
import type {
  LoadOutbox,
  OutboxCore,
  OutboxPart,
  OutboxTask,
  PendingRequest,
  Posting,
  SendOptions,
} from './part'
import { PATH_MESSAGE, PATH_OUTBOX, PATH_SUFFIX, PATH_UPLOAD } from './protocol'
import { toQuery } from './request'
import { createTimer } from './timer'

/** Longest first delay, ms. */
const BASE_DELAY = 1000

/** What stands after path and body. */
export type Rest = [query?: Query | null, headers?: HeadersInit | null, options?: SendOptions | null]

/**
 * Keeps the promise of every request, and hands them on to the outbox, a part that is loaded when it is needed. To a
 * server that announces none, it posts them itself.
 */
export interface Sender {
  message(path: string, body: unknown, rest: Rest): Promise<Response>
  upload(path: string, form: FormData, rest: Rest): Promise<Response>
  /** Not limited by `maxQueued`. @param body asked for when the turn comes */
  add(path: string, body: Posting['body']): Promise<Response>
  /** Goes on at once, if it may: a connection is open again, or somebody will not wait for the timer. */
  flush(): void
  /** What is not settled yet, also of before a reload. */
  pending(): Promise<PendingRequest[]>
  /** Rejects what waits, and forgets what was kept. */
  clear(): Promise<void>
  /** Rejects what waits, and what is added later. */
  destroy(): void
}

/** @param options read anew at each use: `url` changes with `switchURL` */
export function createSender(env: Env, core: OutboxCore, load: LoadOutbox): Sender {
  const { options } = core
  /** What is not settled, in the order of the calls. */
  const waiting = new Set<OutboxTask>()
  /** Those of them that the application has sent. */
  const queued = new Set<OutboxTask>()
  let part: OutboxPart | undefined
  let loads = 0
  /** Ends the pause. */
  let wake: (() => void) | undefined
  const setTimer = createTimer(env)
  let refusal: Error | undefined
  /** The part is there, or was tried; if it must be there to know what was kept. */
  let tried: (() => void) | undefined
  const trial = options.persist && new Promise<void>((resolve) => (tried = resolve))

  /** Until `flush`, and no longer than so many ms. */
  const pause = (ms?: number): Promise<undefined> =>
    new Promise((resolve: (nothing?: undefined) => void) => {
      wake = resolve
      setTimer(resolve, ms)
    })

  /** As long as there is no part: it is loaded, or, where none is announced, one is posted after the other. */
  async function run(): Promise<void> {
    let failures = 0
    while (!part && !refusal) {
      const finish = core.finish()
      const [head] = waiting
      // What is to be kept cannot wait for a connection; but after a failure only the server knows better.
      const path = finish ? finish.outbox : !loads && options.persist && `${PATH_OUTBOX}?`
      try {
        if (path && (head || options.persist)) await loadPart(path)
        else if (!head || !finish) await pause()
        else {
          head.resolve(await core.post(head, { signal: head.signal }))
          failures = 0
        }
      } catch {
        loads++
        if (!head || waiting.has(head)) await pause(backoff(failures++, BASE_DELAY, env.Math.random()))
      }
    }
  }

  async function loadPart(path: string): Promise<void> {
    // Browsers remember that an address has failed; while it loads, asking again is joined to that.
    // A module's own imports are relative to itself, not to the page.
    const address = new URL(`${options.url}${path}&t=${loads}`, env.document.baseURI).href
    // `flush` ends the wait, so that what a new connection announces is looked at; a load under way is joined again.
    const module = await Promise.race([load(address).finally(tried), pause()])
    if (!refusal) part = module?.default(core)
    for (const task of waiting) part?.add(task)
  }

  /** @param rest none: it is not limited; listening must not fail because much waits to be sent */
  function add(path: string, body: Posting['body'], rest?: Rest): Promise<Response> {
    return new Promise((resolve, reject) => {
      const [query, headers, own] = rest ?? []
      const { signal, timeout } = own ?? {}
      const age = Math.min(timeout ?? Infinity, options.maxQueuedAge)
      check('timeout', age, 0)
      if (refusal) throw refusal
      if (rest && queued.size >= options.maxQueued) throw new OutboxFullError('Raise "maxQueued".')
      const controller = new AbortController()
      const task: OutboxTask = {
        path,
        body,
        headers: new Headers(headers ?? {}),
        query: toQuery(query ?? {}),
        options: own ?? {},
        createTime: env.Date.now(),
        owner: options.identity || core.owner(),
        signal: controller.signal,
        resolve(response) {
          end()
          resolve(response)
        },
        reject(error) {
          end()
          reject(error)
          controller.abort(error)
        },
      }
      const onAbort = (): void => task.reject(new AbortError('Aborted.', { cause: signal?.reason }))
      signal?.addEventListener('abort', onAbort)
      const onExpiry = (): void => task.reject(new ExpiredError('No answer.'))
      const setExpiry = createTimer(env)
      setExpiry(onExpiry, age)
      const end = (): void => {
        setExpiry()
        signal?.removeEventListener('abort', onAbort)
        waiting.delete(task)
        queued.delete(task)
      }
      waiting.add(task)
      if (rest) queued.add(task)
      if (signal?.aborted) onAbort()
      else if (part) part.add(task)
      // A head before it goes first.
      else if (waiting.size === 1) wake?.()
    })
  }

  void run()

  return {
    async message(path, body, rest) {
      const json = JSON.stringify(body)
      if (json === undefined) throw new TypeError('No JSON.')
      return add(PATH_MESSAGE + encodeURIComponent(path) + PATH_SUFFIX, () => json, rest)
    },
    async upload(path, form, rest) {
      if (!(form instanceof FormData)) throw new TypeError('No FormData.')
      // As it is now: the application may fill its form anew before this one has left.
      const copy = new FormData()
      for (const [name, value] of form) copy.append(name, value)
      return add(PATH_UPLOAD + encodeURIComponent(path) + PATH_SUFFIX, () => copy, rest)
    },
    add,
    flush() {
      if (part) part.flush()
      else wake?.()
    },
    async pending() {
      await trial
      return part?.pending() ?? []
    },
    async clear() {
      const error = new AbortError()
      for (const task of queued) task.reject(error)
      await trial
      await part?.clear(error)
    },
    destroy() {
      refusal = new DestroyedError()
      // It must not forget what it keeps.
      part?.destroy(refusal)
      for (const task of waiting) task.reject(refusal)
      // For good: it leaves no timer.
      void pause()
    },
  }
}
