import { backoff, MAX_TIMER } from './backoff'
import type { Env } from './env'
import { AbortError, DestroyedError, ExpiredError, OutboxFullError } from './errors'
import { wrong } from './options'

/** What became of one attempt: a result, and with `after` the wish to try again, not before so many ms; or a failure. */
export type Outcome<T> = { result: T; after?: number } | { failure: unknown }

export interface TaskOptions {
  /** Takes the request back, waiting or under way; the promise is rejected with an `AbortError`. */
  signal?: AbortSignal | null | undefined
  /** ms from the call until the answer; then the promise is rejected with an `ExpiredError`. Default: no end. */
  timeout?: number | null | undefined
}

/** First in, first out. The head leaves when it is done, not before; one is under way at a time. Knows nothing of HTTP. */
export interface Outbox {
  /**
   * @param run never rejects
   * @param attemptTimeout ms until an attempt that hears nothing counts as failed: a dead stream may never say so
   */
  add<T>(
    run: (signal: AbortSignal) => Promise<Outcome<T>>,
    attemptTimeout: number,
    options?: TaskOptions | null,
  ): Promise<T>
  /** Goes on at once, if it may: a connection is open again, or somebody will not wait for the timer. */
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
const DESTROYED = 'destroy() was called.'

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
  /** The attempt under way; an older one that ends is not it any more, and is ignored. */
  let running: { task: Task; controller: AbortController; deadline: unknown } | undefined
  let timer: unknown
  /** The server's wish; ms since 1970. */
  let notBefore = 0
  let isDestroyed = false

  function next(): void {
    const head = queue[0]
    if (head && !running && timer === undefined && !isDestroyed && isReady()) attempt(head)
  }

  function attempt(task: Task): void {
    const controller = new AbortController()
    const deadline = env.setTimeout(() => {
      controller.abort()
      end({ failure: new ExpiredError('No answer.') })
    }, task.attemptTimeout)
    const mine = { task, controller, deadline }
    running = mine
    function end(outcome: Outcome<unknown>): void {
      if (running !== mine) return
      release()
      settle(task, outcome)
      next()
    }
    void task.run(controller.signal).then(end)
  }

  function release(): void {
    env.clearTimeout(running?.deadline)
    running = undefined
  }

  function settle(task: Task, outcome: Outcome<unknown>): void {
    const after = 'failure' in outcome ? 0 : outcome.after
    const isHopeless = isReady() && ++task.attempts >= MAX_ATTEMPTS
    if (after === undefined || isHopeless) return finish(task, () => conclude(task, outcome))
    notBefore = env.Date.now() + after
    const delay = after + backoff(Math.max(0, task.attempts - 1), BASE_DELAY, env.Math.random())
    timer = env.setTimeout(() => {
      timer = undefined
      next()
    }, delay)
  }

  function conclude(task: Task, outcome: Outcome<unknown>): void {
    if ('result' in outcome) task.resolve(outcome.result)
    else task.reject(new ExpiredError('Given up after many attempts.', { cause: outcome.failure }))
  }

  function flush(): void {
    if (timer !== undefined && env.Date.now() < notBefore) return
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
      if (running?.task !== task) return
      running.controller.abort(error)
      release()
    })
  }

  function watch(task: Task, { signal, timeout }: TaskOptions): () => void {
    const onAbort = (): void => cancel(task, aborted(signal))
    const onExpiry = (): void => cancel(task, new ExpiredError(`No answer within ${timeout} ms.`))
    signal?.addEventListener('abort', onAbort)
    const expiry = timeout == null ? undefined : env.setTimeout(onExpiry, Math.min(timeout, MAX_TIMER))
    return () => {
      env.clearTimeout(expiry)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  function refusal({ signal, timeout }: TaskOptions): Error | undefined {
    if (timeout != null && !(timeout >= 0)) return wrong('timeout', 'a number from 0')
    if (isDestroyed) return new DestroyedError(DESTROYED)
    if (signal?.aborted) return aborted(signal)
    if (queue.length >= limit)
      return new OutboxFullError(`${limit} requests wait already: raise "maxQueued".`)
    return undefined
  }

  return {
    add<T>(
      run: (signal: AbortSignal) => Promise<Outcome<T>>,
      attemptTimeout: number,
      given?: TaskOptions | null,
    ) {
      const options = given ?? {}
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

function aborted(signal: AbortSignal | null | undefined): AbortError {
  return new AbortError('The request was taken back by its signal.', { cause: signal?.reason })
}
