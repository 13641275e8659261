import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Acknowledgements } from './acknowledgements'
import { draftOf, type SendOptions } from './draft'
import { StoreUnavailableError } from './errors'
import type { Nodes } from './nodes'
import type { OpenConnection } from './open-connection'
import type { Settings } from './options'
import type { Pace } from './pace'
import { LONGEST_DELAY } from './params'
import { Sent } from './sent'
import type { Draft, Entry, PendingMessage } from './store'
import { isUser, namesUser, type Topic } from './topic'

/** ms till a store that is away is asked again. */
const AGAIN = 1000
const DAY = 24 * 60 * 60 * 1000
/** How often overdue acknowledgements are looked for, in a part of `ackTimeout`. */
const LOOKS = 4

/** How a message that is to be acknowledged is sent. */
export interface QosOptions extends SendOptions {
  /**
   * Done when each user of the audience has acknowledged: the users named, or, of another audience, those who are
   * online at the time of sending and have an id or an access token (with `listening`: and listen); nobody: it is not
   * sent. Default `false`: done when anybody has.
   */
  each?: boolean
  /** ms until it is given up. A whole number from 1 to 2³¹−1. Default 86 400 000: a day. */
  timeout?: number
}

/**
 * Resolves when the message is done, to the number of acknowledgements: 0, or with `each` less than users, if it
 * expired, was taken back, or the service was closed before. Rejects with a TypeError for what cannot be sent, and with
 * a LimitError if too much waits already; who does not wait for it need not mind: `onError` hears of it too.
 */
export interface QosPromise extends Promise<number> {
  readonly messageId: string
  /** Takes the message back: nobody gets it from now on. @returns whether it was still waiting. */
  cancel(): Promise<boolean>
}

/** At least once: what is sent here is kept, and sent again, until somebody has acknowledged it. */
export class Qos<User extends object> {
  readonly acknowledgements: Acknowledgements<User>
  readonly #settings: Settings<User>
  readonly #nodes: Nodes<User>
  readonly #pace: Pace
  /** Those that were sent from here. */
  readonly #sent = new Map<string, Sent>()
  /** Those that the store failed. */
  readonly #owed = new Set<OpenConnection<User>>()
  #watch: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(settings: Settings<User>, nodes: Nodes<User>, pace: Pace) {
    this.#settings = settings
    this.#nodes = nodes
    this.#pace = pace
    this.acknowledgements = new Acknowledgements(settings)
  }

  /** @param topics If it throws, the promise rejects. */
  send(topics: () => readonly Topic[], name: string, data: unknown, options: QosOptions = {}): QosPromise {
    const messageId = randomBytes(16).toString('base64url')
    const promise = this.#send(messageId, topics, name, data, options)
    // It may take a day, so many will not wait for it; a failure must not end their process.
    promise.catch((error) => this.#settings.report(error, 'qos()'))
    return Object.assign(promise, { messageId, cancel: () => this.#cancel(messageId) })
  }

  /** A message waits no more. */
  settled(message: string, count: number): void {
    this.#sent.get(message)?.settle(count)
    this.#sent.delete(message)
    this.#settings.counters.acknowledged += count
  }

  /** The store has lost what it kept. What was sent from here, and waits, is kept and sent anew. */
  async revive(): Promise<void> {
    for (const [message, sent] of [...this.#sent])
      await this.#revive(sent).catch((error) => {
        // It waits nowhere, and nobody would tell.
        this.#settings.report(error, 'qos()')
        this.settled(message, 0)
      })
  }

  /** An event was written to a connection. */
  written(connection: OpenConnection<User>, entry: Entry): void {
    this.acknowledgements.written(connection, entry)
    this.#lookLater()
  }

  /**
   * Sends to a connection what waits for it, and is not on its way to it already.
   * @param names Only these events.
   */
  async bring(connection: OpenConnection<User>, names?: readonly string[]): Promise<void> {
    const isAsked = ({ name }: Draft) => names === undefined || names.includes(name)
    for (const message of (await this.#waitingFor(connection)) ?? []) {
      if (!isAsked(message) || this.acknowledgements.isOutstanding(connection, message.message)) continue
      // The rest when it has read this: else it would be cut off, again and again.
      if (connection.stream.waiting > this.#settings.bufferLimit / 2) return this.#owe(connection)
      if (!(await this.#again(connection, message))) return
    }
  }

  /** What they have lost may have been what waits for them. */
  async bringAll(connections: readonly OpenConnection<User>[]): Promise<void> {
    for (const connection of connections) await this.bring(connection)
  }

  /** A client has come, or come back. */
  async greet(connection: OpenConnection<User>, lastEventId: string | undefined): Promise<void> {
    await this.acknowledgements.returned(connection, lastEventId)
    await this.bring(connection)
  }

  /** Nothing is sent again from here. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#watch)
    for (const message of [...this.#sent.keys()]) this.settled(message, 0)
  }

  async #send(
    message: string,
    topicsOf: () => readonly Topic[],
    name: string,
    data: unknown,
    { each = false, timeout = DAY, ...options }: QosOptions,
  ): Promise<number> {
    if (!(Number.isInteger(timeout) && timeout >= 1 && timeout <= LONGEST_DELAY))
      throw new TypeError(`qos: timeout must be a whole number of milliseconds from 1 to ${LONGEST_DELAY}.`)
    const topics = topicsOf()
    const draft = { ...draftOf(topics, name, data, options), message }
    if (topics.length === 0) return 0
    const held = this.#hold(draft, each, timeout)
    const sent = new Sent(held)
    this.#sent.set(message, sent)
    try {
      if (!(await held)) this.settled(message, 0)
      else if (!sent.isTakenBack) await this.#append(draft, message, sent, timeout)
    } catch (error) {
      const { store, name: service, report } = this.#settings
      this.settled(message, 0)
      await store.cancel(service, message).catch((second) => report(second, 'the store'))
      throw error
    }
    // Nobody would tell.
    if (this.#isClosed) this.settled(message, 0)
    return sent.settled
  }

  /** @returns nothing if there is nobody who could acknowledge it. */
  async #hold(
    draft: Draft & { message: string },
    each: boolean,
    timeout: number,
  ): Promise<PendingMessage | undefined> {
    const { store, name: service } = this.#settings
    const createTime = Date.now()
    const recipients = each ? await this.#recipients(draft) : []
    if (each && recipients.length === 0) return undefined
    const pending = { ...draft, createTime, expiryTime: createTime + timeout, recipients }
    await store.hold(service, pending)
    return pending
  }

  async #cancel(message: string): Promise<boolean> {
    const { store, name: service } = this.#settings
    if (await store.cancel(service, message)) return true
    // It may have been on its way into the store.
    const sent = this.#sent.get(message)
    if (sent === undefined) return false
    await sent.held.catch(() => {})
    return store.cancel(service, message)
  }

  /** The users whom it is for, by the topic that names each. */
  async #recipients({ topics, name, listening }: Draft): Promise<Topic[]> {
    const audiences = topics.filter((topic) => !isUser(topic))
    const online = audiences.length > 0 ? await this.#nodes.of(audiences) : []
    const addressed = online.filter(({ listeners }) => !listening || listeners.includes(name))
    return [
      ...new Set([
        ...topics.filter(isUser),
        ...addressed.flatMap(({ topics }) => topics.find(namesUser) ?? []),
      ]),
    ]
  }

  async #append(draft: Draft, message: string, sent: Sent, timeout: number): Promise<void> {
    const { store, name: service, report, counters } = this.#settings
    sent.expireAfter(timeout, () => {
      const cancelled = store.cancel(service, message).catch((error) => report(error, 'the store'))
      // That it was acknowledged a moment ago may be on its way; that it never will be, too.
      void cancelled.then(() => sleep(AGAIN, undefined, { ref: false })).then(() => this.settled(message, 0))
    })
    counters.sent++
    await this.#insist(sent, () => store.append(service, draft))
    await this.#pace.sent(draft.data.length)
  }

  /** What the store has to keep is accepted: if it is away now, that is done when it is back. */
  async #insist(sent: Sent, act: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        return void (await act())
      } catch (error) {
        if (!(error instanceof StoreUnavailableError)) throw error
      }
      await sleep(AGAIN, undefined, { ref: false })
      if (sent.isTakenBack || this.#isClosed) return
    }
  }

  async #revive(sent: Sent): Promise<void> {
    const { store, name: service } = this.#settings
    const pending = await sent.held.catch(() => undefined)
    if (pending === undefined || sent.isOver) return
    await this.#insist(sent, () => store.hold(service, pending))
    const { createTime, expiryTime, recipients, ...draft } = pending
    await this.#insist(sent, () => store.append(service, draft))
  }

  #lookLater(): void {
    const isIdle = this.acknowledgements.isEmpty && this.#owed.size === 0
    if (this.#watch !== undefined || this.#isClosed || isIdle) return
    this.#watch = setTimeout(async () => {
      const owed = [...this.#owed]
      this.#owed.clear()
      for (const connection of owed) await this.bring(connection)
      for (const [connection, late] of this.acknowledgements.overdue()) await this.#remind(connection, late)
      this.#watch = undefined
      this.#lookLater()
    }, this.#settings.ackTimeout / LOOKS).unref()
  }

  async #remind(connection: OpenConnection<User>, late: Set<string>): Promise<void> {
    // What waits for it to read cannot have been acknowledged.
    if (late.size === 0 || (connection.acks && connection.stream.waiting > 0)) return
    // It was written to it; the store did not take that down.
    if (!connection.acks) return this.acknowledgements.handled(connection, late)
    const waiting = await this.#waitingFor(connection)
    const found = waiting?.filter(({ message }) => late.delete(message))
    if (found === undefined) return
    // Somebody else has acknowledged those.
    for (const message of late) this.acknowledgements.forget(connection, message)
    for (const message of found) if (!(await this.#again(connection, message))) return
  }

  /** What it should have now, it is to have later. */
  #owe(connection: OpenConnection<User>): void {
    if (!connection.isOpen) return
    this.#owed.add(connection)
    this.#lookLater()
  }

  /** @returns `undefined` if the store failed. */
  async #waitingFor(connection: OpenConnection<User>): Promise<PendingMessage[] | undefined> {
    const { store, name: service } = this.#settings
    try {
      const waiting = await store.pending(service, connection.topics)
      const isAsked = ({ recipients }: PendingMessage) =>
        recipients.length === 0 || recipients.some((topic) => connection.topics.includes(topic))
      return waiting.filter((message) => isAsked(message) && connection.takes(message))
    } catch (error) {
      this.#settings.report(error, 'the store')
      return void this.#owe(connection)
    }
  }

  /**
   * As a new event for this client alone: so it has a place of its own in the log, and survives a line that breaks now.
   * @returns whether it is worth going on with the next.
   */
  async #again(connection: OpenConnection<User>, pending: PendingMessage): Promise<boolean> {
    const { store, name: service, counters, report } = this.#settings
    const { name, data, listening, key, message } = pending
    if (!connection.isOpen || this.#isClosed) return false
    counters.redelivered++
    try {
      const topics = connection.topics.slice(-1)
      await store.append(service, { topics, name, data, listening, key, message })
      await this.#pace.sent(data.length)
      return true
    } catch (error) {
      report(error, 'the store')
      this.#owe(connection)
      return false
    }
  }
}
