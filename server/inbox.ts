import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { HEADER_KEY, HEADER_REPLAYED } from '../client/protocol'
import type { Reply } from './answer'
import { HttpError } from './errors'
import { digestOf, quote } from './key'
import type { Settings } from './options'
import type { Claim, KnownKey } from './store'

/** ms that a claim holds if it is not renewed: whoever has it counts as dead then. */
const LEASE = 30_000
/** ms that a request waits for a run on another node: longer than a lease, so that it takes over from a dead one. */
const PATIENCE = 45_000
/** ms between two looks at a run on another node, at first and at most. */
const FIRST_PAUSE = 20
const LONGEST_PAUSE = 1000
/** How often an answer is to be remembered if the store fails. */
const ATTEMPTS = 3

/** A request that has a name. */
export interface Keyed {
  /** Whose key it is. */
  readonly owner: string
  readonly key: string
  /** The same for a repeat, another one for another request. */
  readonly fingerprint: string
}

/** Whether the same request may be answered otherwise later: it is to be tried again, with the same key. */
export function isTemporary({ status }: Pick<Reply, 'status'>): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500
}

/** Runs the handler of each key once, and remembers its answer. */
export class Inbox {
  readonly #store: Settings<object>['store']
  readonly #service: string
  readonly #report: Settings<object>['report']
  readonly #lease: number
  /** What runs on this node, or waits for another: by key and fingerprint. */
  readonly #running = new Map<string, Promise<Reply>>()

  constructor({ store, name, report }: Pick<Settings<object>, 'store' | 'name' | 'report'>, lease = LEASE) {
    this.#store = store
    this.#service = name
    this.#report = report
    this.#lease = lease
  }

  /**
   * The answer of the handler: to the first request, to those that come while it runs, and to those that come later.
   * @param handle Runs the handler, to its end whoever waits for it; a failure is a reply too. If it rejects, nothing
   *   has run: the key is free again.
   * @throws HttpError 422 if the key was used for another request; 503 if it runs elsewhere for long, or the store fails;
   *   and what `handle` rejects with.
   */
  async answer({ owner, key, fingerprint }: Keyed, handle: () => Promise<Reply>): Promise<Reply> {
    // Not as they are: an owner may hold an access token, which has no business in a store.
    const name = digestOf(owner, key)
    const place = `${name} ${fingerprint}`
    const running = this.#running.get(place)
    if (running !== undefined) return asRepeated(await running)
    const run = this.#run(name, { owner: digestOf(owner), holder: randomUUID(), fingerprint }, async () =>
      withKey(await handle(), key),
    )
    this.#running.set(place, run)
    try {
      return await run
    } finally {
      this.#running.delete(place)
    }
  }

  async #run(name: string, claim: Claim, handle: () => Promise<Reply>): Promise<Reply> {
    const before = await this.#claim(name, claim)
    if (before !== undefined) return before
    const stopRenewing = this.#renew(name, claim)
    let reply: Reply | undefined
    try {
      reply = await handle()
    } finally {
      await stopRenewing()
      if (reply === undefined || isTemporary(reply))
        await this.#try(() => this.#store.release(this.#service, name, claim))
    }
    return isTemporary(reply) ? reply : ((await this.#remember(name, claim, reply)) ?? reply)
  }

  /** @returns the answer that there is already; none: the key is ours. */
  async #claim(name: string, claim: Claim): Promise<Reply | undefined> {
    try {
      return await this.#settled(claim, () => this.#store.claim(this.#service, name, claim, this.#lease))
    } catch (error) {
      if (error instanceof HttpError) throw error
      this.#report(error, 'the store')
      throw later('The keys cannot be read; try again later.')
    }
  }

  /** @returns the answer of somebody who took the key over meanwhile; none: ours counts. */
  async #remember(name: string, claim: Claim, reply: Reply): Promise<Reply | undefined> {
    const text = JSON.stringify(reply)
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#settled(claim, () => this.#store.remember(this.#service, name, claim, text))
      } catch (error) {
        if (error instanceof HttpError) throw error
        // What the handler did is done: who asks is to know, though a repeat after the lease would do it again.
        if (attempt === ATTEMPTS) return void this.#report(error, 'the store')
        await sleep(FIRST_PAUSE * 5 ** attempt, undefined, { ref: false })
      }
    }
  }

  /** Asks until the store grants what is asked, or has an answer. */
  async #settled(
    { fingerprint }: Claim,
    ask: () => Promise<KnownKey | undefined>,
  ): Promise<Reply | undefined> {
    const deadline = performance.now() + PATIENCE
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      const known = await ask()
      if (known === undefined) return undefined
      if (known.fingerprint !== fingerprint)
        throw new HttpError(422, 'This Idempotency-Key was used for another request; take a new one.')
      if (known.answer !== undefined) return asRepeated(JSON.parse(known.answer))
      if (performance.now() > deadline) throw later('The same request is still running; try again later.')
      await sleep(pause, undefined, { ref: false })
    }
  }

  /** @returns what ends it: a renewal that came after the release would hold the key for nobody. */
  #renew(name: string, claim: Claim): () => Promise<void> {
    let renewed: Promise<unknown> = Promise.resolve()
    const renew = () => this.#store.claim(this.#service, name, claim, this.#lease)
    const timer = setInterval(() => {
      renewed = Promise.all([renewed, this.#try(renew)])
    }, this.#lease / 3).unref()
    return async () => {
      clearInterval(timer)
      await renewed
    }
  }

  async #try(act: () => Promise<unknown>): Promise<void> {
    try {
      await act()
    } catch (error) {
      this.#report(error, 'the store')
    }
  }
}

/** Only what the key will always be answered with carries it. */
function withKey(reply: Reply, key: string): Reply {
  return isTemporary(reply) ? reply : { ...reply, headers: { ...reply.headers, [HEADER_KEY]: quote(key) } }
}

function asRepeated(reply: Reply): Reply {
  return isTemporary(reply) ? reply : { ...reply, headers: { ...reply.headers, [HEADER_REPLAYED]: 'true' } }
}

function later(message: string): HttpError {
  return new HttpError(503, message, { 'Retry-After': '1' })
}
