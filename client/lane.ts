import { backoff, retryAfter } from './backoff'
import type { OutboxCore, OutboxPart, OutboxTask } from './part'
import { PATH_UPLOAD } from './protocol'

/** ms that one attempt may take: a dead line may never say so. Longer than any sane handler: what is sent again may run twice. */
const POST_TIMEOUT = 60_000
const UPLOAD_TIMEOUT = 600_000
/** Attempts that failed while connected, until a task counts as hopeless: four minutes or so. It must not block the others for ever. */
const MAX_ATTEMPTS = 20
/** Longest first delay, ms. */
const BASE_DELAY = 1000

/** What became of one attempt: a response, and with `after` the wish to try again, not before so many ms; or a failure. */
type Outcome = { response: Response; after?: number } | { failure: unknown }

interface Queued {
  readonly task: OutboxTask
  attempts: number
}

/** First in, first out. The head leaves when it is done, not before; one is under way at a time. */
export function createLane({ env, ExpiredError, isConnected, post }: OutboxCore): OutboxPart {
  const queue: Queued[] = []
  /** The attempt under way; an older one that ends is not it any more, and is ignored. */
  let running: { head: Queued; controller: AbortController; deadline: unknown } | undefined
  let timer: unknown
  /** The server's wish; ms since 1970. */
  let notBefore = 0

  function next(): void {
    const [head] = queue
    if (head && !running && timer === undefined && isConnected()) attempt(head)
  }

  function attempt(head: Queued): void {
    const { task } = head
    const controller = new AbortController()
    const deadline = env.setTimeout(
      () => {
        controller.abort()
        end({ failure: new ExpiredError('No answer.') })
      },
      task.path.startsWith(PATH_UPLOAD) ? UPLOAD_TIMEOUT : POST_TIMEOUT,
    )
    const mine = { head, controller, deadline }
    running = mine
    function end(outcome: Outcome): void {
      if (running !== mine) return
      release()
      settle(head, outcome)
      next()
    }
    void post(task, controller.signal).then(
      (response) => end(judge(response, env.Date.now())),
      (failure) => end({ failure }),
    )
  }

  function release(): void {
    env.clearTimeout(running?.deadline)
    running = undefined
  }

  function settle(head: Queued, outcome: Outcome): void {
    const after = 'failure' in outcome ? 0 : outcome.after
    const isHopeless = isConnected() && ++head.attempts >= MAX_ATTEMPTS
    if (after === undefined || isHopeless) return conclude(head, outcome)
    notBefore = env.Date.now() + after
    const delay = after + backoff(Math.max(0, head.attempts - 1), BASE_DELAY, env.Math.random())
    timer = env.setTimeout(() => {
      timer = undefined
      next()
    }, delay)
  }

  function conclude({ task }: Queued, outcome: Outcome): void {
    queue.shift()
    if ('response' in outcome) task.resolve(outcome.response)
    else task.reject(new ExpiredError('Given up after many attempts.', { cause: outcome.failure }))
  }

  function flush(): void {
    if (timer !== undefined && env.Date.now() < notBefore) return
    env.clearTimeout(timer)
    timer = undefined
    next()
  }

  function remove(queued: Queued): void {
    const index = queue.indexOf(queued)
    if (index === -1) return
    queue.splice(index, 1)
    if (running?.head === queued) {
      running.controller.abort(queued.task.signal.reason)
      release()
    }
    // What follows need not wait for the delay of a head that is gone.
    if (index === 0) flush()
  }

  return {
    add(task) {
      const queued = { task, attempts: 0 }
      queue.push(queued)
      task.signal.addEventListener('abort', () => remove(queued))
      next()
    },
    flush,
    destroy: () => env.clearTimeout(timer),
  }
}

/** What an answer means. What may be sent again is decided here alone. */
function judge(response: Response, now: number): Outcome {
  const { status, headers } = response
  const isTemporary = status === 408 || status === 425 || status === 429 || status >= 500
  if (!isTemporary) return { response }
  return { response, after: retryAfter(headers.get('Retry-After'), now) }
}
