import { backoff } from './backoff'
import type { Env } from './env'
import { AbortError, DestroyedError, ExpiredError, OutboxFullError } from './errors'

/** What became of one attempt: done with a result, or to be tried again, not before `after` ms; `failure` tells why. */
export type Outcome<T> = { result: T } | { after: number; failure: unknown; lastResult?: T }

export interface TaskOptions {
  /** Takes the request back, waiting or under way; the promise is rejected with an `AbortError`. */
  signal?: AbortSignal | undefined
  /** ms from the call until the answer; then the promise is rejected with an `ExpiredError`. Default: no end. */
  timeout?: number | undefined
}

/** First in, first out. The head leaves when it is done, not before; one is under way at a time. Knows nothing of HTTP. */
export interface Outbox {
  /** @param attemptTimeout ms until an attempt that hears nothing counts as failed: a dead line may never say so */
  add<T>(
    run: (signal: AbortSignal) => Promise<Outcome<T>>,
    attemptTimeout: number,
    options?: TaskOptions,
  ): Promise<T>
  /** Goes on at once, if it may: the line is back, or somebody will not wait for the timer. */
  flush(): void
  /** Rejects what waits, and what is added later. */
  destroy(): void
}

export interface OutboxConfig {
  env: Env
  limit: number
  /** May anything be tried now? */
  isReady(): boolean
}

/** Attempts that failed while the outbox was ready, until a task counts as hopeless: four minutes or so. It must not block the others for ever. */
const MAX_ATTEMPTS = 20
/** Longest first delay, ms. */
const BASE_DELAY = 1000
const DESTROYED = 'destroy() was called: make a new Sse to send.'

interface Task {
  attempts: number
  readonly attemptTimeout: number
  run(signal: AbortSignal): Promise<Outcome<unknown>>
  resolve(result: unknown): void
  reject(error: Error): void
  /** Lets go of its timer and signal. */
  release(): void
}

export function createOutbox({ env, limit, isReady }: OutboxConfig): Outbox {
  const queue: Task[] = []
  let running: { task: Task; controller: AbortController } | undefined
  let timer: unknown
  /** The server's wish; ms since 1970. */
  let notBefore = 0
  let isDestroyed = false

  function next(): void {
    const head = queue[0]
    if (!head || running || timer !== undefined || isDestroyed || !isReady()) return
    const controller = new AbortController()
    running = { task: head, controller }
    const deadline = env.setTimeout(
      () => controller.abort(new ExpiredError('No answer.')),
      head.attemptTimeout,
    )
    head
      .run(controller.signal)
      .then(
        (outcome) => settle(head, outcome),
        (error) => finish(head, () => head.reject(error)),
      )
      .finally(() => {
        env.clearTimeout(deadline)
        running = undefined
        next()
      })
  }

  function settle(task: Task, outcome: Outcome<unknown>): void {
    if (!queue.includes(task)) return
    if ('result' in outcome) return finish(task, () => task.resolve(outcome.result))
    if (isReady() && ++task.attempts >= MAX_ATTEMPTS) return finish(task, () => giveUp(task, outcome))
    notBefore = env.Date.now() + outcome.after
    const delay = outcome.after + backoff(task.attempts, BASE_DELAY, env.Math.random())
    timer = env.setTimeout(flush, delay)
  }

  function giveUp(task: Task, { failure, lastResult }: { failure: unknown; lastResult?: unknown }): void {
    if (lastResult !== undefined) task.resolve(lastResult)
    else task.reject(new ExpiredError(`Given up after ${MAX_ATTEMPTS} attempts.`, { cause: failure }))
  }

  function flush(): void {
    if (env.Date.now() < notBefore) return
    env.clearTimeout(timer)
    timer = undefined
    next()
  }

  /** Takes the task out, once, and then tells. */
  function finish(task: Task, tell: () => void): void {
    const index = queue.indexOf(task)
    if (index === -1) return
    queue.splice(index, 1)
    task.release()
    tell()
    // What follows need not wait for the delay of a head that is gone.
    if (index === 0) flush()
  }

  function cancel(task: Task, error: Error): void {
    finish(task, () => {
      task.reject(error)
      if (running?.task === task) running.controller.abort(error)
    })
  }

  function watch(task: Task, { signal, timeout }: TaskOptions): () => void {
    const onAbort = (): void => cancel(task, aborted(signal))
    const onExpiry = (): void => cancel(task, new ExpiredError(`No answer within ${timeout} ms.`))
    const expiry = timeout === undefined ? undefined : env.setTimeout(onExpiry, timeout)
    signal?.addEventListener('abort', onAbort)
    return () => {
      env.clearTimeout(expiry)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  function refusal({ signal, timeout }: TaskOptions): Error | undefined {
    if (timeout !== undefined && !(Number.isFinite(timeout) && timeout >= 0))
      return new TypeError('Option "timeout" must be a number of at least 0.')
    if (isDestroyed) return new DestroyedError(DESTROYED)
    if (signal?.aborted) return aborted(signal)
    if (queue.length >= limit)
      return new OutboxFullError(`${limit} requests wait already: send less, or raise "maxQueued".`)
    return undefined
  }

  return {
    add<T>(
      run: (signal: AbortSignal) => Promise<Outcome<T>>,
      attemptTimeout: number,
      options: TaskOptions = {},
    ) {
      return new Promise<T>((resolve, reject) => {
        const refused = refusal(options)
        if (refused) return reject(refused)
        const task: Task = {
          attempts: 0,
          attemptTimeout,
          run,
          resolve: resolve as (result: unknown) => void,
          reject,
          release: () => {},
        }
        task.release = watch(task, options)
        queue.push(task)
        next()
      })
    },
    flush,
    destroy() {
      isDestroyed = true
      env.clearTimeout(timer)
      for (const task of [...queue]) cancel(task, new DestroyedError(DESTROYED))
    },
  }
}

function aborted(signal: AbortSignal | undefined): AbortError {
  return new AbortError('The request was taken back by its signal.', { cause: signal?.reason })
}
