import { type Cluster, Redis } from 'ioredis'
import { StoreUnavailableError } from '../errors'
import { Latch, Late } from './latch'
import { BEGIN_FIRST } from './redis-place'
import type { Argument, Script } from './redis-script'

/** A client of the package `ioredis`. */
export type RedisClient = Redis | Cluster

/** ms between two attempts while Redis answers, but cannot do it now. */
const PAUSE = 50
/** ms between two attempts to connect, at most. */
const LONGEST_RETRY = 1000
/** How Redis says that another attempt may succeed: it loads its data, fails over, or runs something long. */
const TEMPORARY = /^(LOADING|READONLY|MASTERDOWN|TRYAGAIN|CLUSTERDOWN|BUSY)\b/

/** Who makes calls that are to be done once, for one service. */
export interface Writer {
  readonly name: string
  calls: number
  /** Those whose replies need not be kept any more. */
  readonly settled: number[]
}

/** Hears what is said to a channel. */
export type Hear = (text: string) => void

/**
 * Two connections to Redis: one for scripts, one that listens. Nothing waits inside the client library, so what was given
 * up is not done later.
 */
export class RedisLink {
  readonly isCluster: boolean
  readonly #commands: RedisClient
  readonly #channels: RedisClient
  readonly #patience: number
  readonly #heard = new Map<string, Hear>()
  readonly #rejoined = new Set<() => void>()
  /** Redis' clock ahead of ours, ms. */
  #ahead = 0
  #ready = new Latch()
  /** A line that says nothing is being given up. */
  #isLeaving = false
  #isClosed = false

  /** @param patience ms that a call waits for Redis */
  constructor(target: string | RedisClient, patience: number) {
    const { commands, channels } = connect(target)
    this.isCluster = 'nodes' in commands
    this.#commands = commands
    this.#channels = channels
    this.#patience = patience
    // What fails is told by the call that fails.
    commands.on('error', () => {}).on('close', () => this.#left())
    commands.on('ready', () => void this.#begin())
    channels.on('error', () => {})
    channels.on('ready', () => {
      for (const rejoined of this.#rejoined) rejoined()
    })
    channels.on('message', (channel: string, text: string) => this.#heard.get(channel)?.(text))
  }

  /**
   * Runs a script.
   * @param writer Who calls, for scripts that run once.
   * @param begin Begins the log of the service, when a script asks for that.
   * @throws StoreUnavailableError when that cannot be had in time; what Redis has against the script itself.
   */
  async run(
    script: Script,
    base: string,
    writer: Writer,
    args: readonly Argument[],
    begin: () => Promise<void>,
  ): Promise<unknown> {
    const deadline = performance.now() + this.#patience
    const call = script.isOnce ? ++writer.calls : 0
    const once = script.isOnce ? [writer.name, call, writer.settled.splice(0).join(' ')] : []
    let isUncertain = false
    try {
      for (;;) {
        await this.#isReady(deadline, isUncertain)
        try {
          const all = [base, String(Date.now() + this.#ahead), ...once, ...args]
          return await before(deadline, this.#evaluate(script, all))
        } catch (error) {
          isUncertain = await this.#goOn(error, isUncertain, begin)
        }
      }
    } finally {
      // Nobody makes this call again: its reply need not be kept.
      if (script.isOnce) writer.settled.push(call)
    }
  }

  /** @returns to how many; in a cluster that is not known. */
  async publish(channel: string, text: string): Promise<number> {
    const deadline = performance.now() + this.#patience
    await this.#isReady(deadline, false)
    try {
      return await before(deadline, this.#commands.publish(channel, text))
    } catch (error) {
      this.#reconnectIfSilent(error)
      throw away(true, error)
    }
  }

  /** @throws StoreUnavailableError if it is shut for longer than a call may wait */
  async pass(latch: Latch): Promise<void> {
    try {
      await latch.pass(performance.now() + this.#patience)
    } catch (error) {
      throw away(false, error)
    }
  }

  /** Opens the latch when what is said is heard. */
  listen(channel: string, hear: Hear, listens: Latch): void {
    this.#heard.set(channel, hear)
    this.#channels.subscribe(channel).then(
      () => listens.open(),
      // The store was closed before.
      () => {},
    )
  }

  unlisten(channel: string): void {
    this.#heard.delete(channel)
    this.#channels.unsubscribe(channel).catch(() => {})
  }

  /** Called each time that something may have been said that nobody has heard. @returns its release */
  onRejoin(rejoined: () => void): () => void {
    this.#rejoined.add(rejoined)
    return () => void this.#rejoined.delete(rejoined)
  }

  /** The line that listens is dead, and does not know it. */
  relisten(): void {
    this.#channels.disconnect(true)
  }

  close(): void {
    this.#isClosed = true
    // Nobody is to wait for what does not come.
    this.#ready.open()
    this.#commands.disconnect()
    this.#channels.disconnect()
  }

  #left(): void {
    this.#isLeaving = false
    this.#ready.shut()
  }

  async #begin(): Promise<void> {
    try {
      const asked = Date.now()
      const [seconds = 0, micros = 0] = (await this.#commands.time()).map(Number)
      // Half of the way there.
      this.#ahead = Math.round(seconds * 1000 + micros / 1000 - (asked + Date.now()) / 2)
      this.#ready.open()
    } catch {
      // It has gone again, and comes back.
    }
  }

  async #isReady(deadline: number, isUncertain: boolean): Promise<void> {
    if (this.#isClosed) throw new StoreUnavailableError('The store is closed.', isUncertain)
    try {
      await this.#ready.pass(deadline)
    } catch (error) {
      throw away(isUncertain, error)
    }
  }

  async #evaluate({ sha, text }: Script, args: string[] | Argument[]): Promise<unknown> {
    try {
      return await this.#commands.evalsha(sha, 1, ...args)
    } catch (error) {
      if (!startsWith(error, 'NOSCRIPT')) throw error
      return this.#commands.eval(text, 1, ...args)
    }
  }

  /** @returns whether the call may have been done. @throws what ends it */
  async #goOn(error: unknown, isUncertain: boolean, begin: () => Promise<void>): Promise<boolean> {
    if (startsWith(error, BEGIN_FIRST)) {
      await begin()
      return isUncertain
    }
    const message = error instanceof Error ? error.message : ''
    if (error instanceof Late) {
      this.#reconnectIfSilent(error)
      throw away(true, error)
    }
    const isReply = error instanceof Error && error.name === 'ReplyError'
    if (isReply && !TEMPORARY.test(message)) {
      if (/^(OOM|MISCONF|NOREPLICAS)\b/.test(message)) throw away(false, error)
      throw error
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE))
    // Not written at all: the client says so. Refused: so does Redis.
    return isUncertain || !(isReply || message.includes("isn't writeable"))
  }

  /** A line that says nothing may be dead; a new one will tell. */
  #reconnectIfSilent(error: unknown): void {
    if (!(error instanceof Late) || this.#commands.status !== 'ready' || this.#isLeaving) return
    // Many calls find that out at once.
    this.#isLeaving = true
    this.#ready.shut()
    this.#commands.disconnect(true)
  }
}

function connect(target: string | RedisClient): { commands: RedisClient; channels: RedisClient } {
  const retryStrategy = (attempt: number) =>
    Math.min(LONGEST_RETRY, 20 * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random() / 2)
  const patient = { retryStrategy, maxRetriesPerRequest: null, connectTimeout: 5000 }
  const prompt = {
    ...{ retryStrategy, connectTimeout: 5000 },
    ...{ enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 },
    // A replica now: what was our Redis is another one.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  }
  if (typeof target === 'string')
    return { commands: new Redis(target, prompt), channels: new Redis(target, patient) }
  if ('nodes' in target) {
    const clusterRetryStrategy = retryStrategy
    return {
      commands: target.duplicate([], {
        ...{ clusterRetryStrategy, enableOfflineQueue: false },
        redisOptions: { ...prompt, enableOfflineQueue: true },
      }),
      channels: target.duplicate([], { clusterRetryStrategy, redisOptions: patient }),
    }
  }
  return {
    commands: target.duplicate({ ...prompt, lazyConnect: false }),
    channels: target.duplicate({ ...patient, lazyConnect: false }),
  }
}

/** @throws Late */
async function before<T>(deadline: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Late('Redis did not answer in time.')),
      Math.max(0, deadline - performance.now()),
    )
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function startsWith(error: unknown, word: string): boolean {
  return error instanceof Error && error.message.startsWith(word)
}

function away(isUncertain: boolean, cause: unknown): StoreUnavailableError {
  const fate = isUncertain ? 'this may have been done all the same' : 'this was not done'
  return new StoreUnavailableError(`Redis cannot be reached; ${fate}. Try again later.`, isUncertain, cause)
}
