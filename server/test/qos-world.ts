import assert from 'node:assert/strict'
import { parseCursor } from '../cursor'
import { readHandshake } from '../handshake'
import { identify } from '../identity'
import type { OpenConnection } from '../open-connection'
import { settle } from '../options'
import { createParts } from '../parts'
import type { QosOptions } from '../qos'
import { memoryStore } from '../stores/memory'
import type { Channel } from '../stream'
import { type Event, eventsOf } from './stream-reader'

export const ACK_TIMEOUT = 1000

/** What is called lets promises go on; nothing here needs the time, which stands still. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))
const seqOf = (id: string): number => parseCursor(id)?.seq ?? 0
const messageOf = (id: string | undefined): string => id?.split('~')[1] ?? ''

interface User {
  readonly id: number
  readonly tenantId: number
}

/** A message, as the rules have it. */
interface Message {
  readonly name: string
  readonly topics: readonly string[]
  readonly listening: boolean
  readonly expiryTime: number
  /** Users that have yet to acknowledge; `undefined`: anybody, once. */
  readonly missing: Set<string> | undefined
  readonly cancel: () => Promise<boolean>
  count: number
  isWaiting: boolean
  outcome?: number
}

/** One connection, as its page sees it. */
class Line implements Channel {
  readonly closed: Promise<void>
  readonly waiting = 0
  /** Cut: what is written gets lost, and the server does not know. */
  isCut = false
  readonly #page: Page
  #close!: () => void
  #isEnded = false

  constructor(page: Page) {
    this.#page = page
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
  }

  get hasReader(): boolean {
    return !this.#isEnded
  }

  write(bytes: Buffer): boolean {
    if (this.#isEnded) return false
    for (const event of eventsOf(bytes.toString())) this.#page.written(event, this.isCut)
    return true
  }

  tell(bytes: Buffer): boolean {
    return this.write(bytes)
  }

  pour(events: Iterator<Buffer>): void {
    for (let next = events.next(); !next.done; next = events.next()) this.write(next.value)
  }

  beat(): void {}

  discard(): void {}

  end(): void {
    this.#isEnded = true
    this.#close()
  }
}

/** A page that follows the protocol: one with our client, or with a plain EventSource. */
export class Page {
  readonly topics: readonly string[]
  readonly listeners = new Set(['a'])
  /** The messages that the application was shown. */
  readonly shown = new Set<string>()
  /** Where each message came first that is handled, and not acknowledged. */
  readonly #heard = new Map<string, { readonly name: string; readonly seq: number }>()
  /** Ids of the events that brought them. */
  #handled: string[] = []
  #cursor = ''
  #line: Line | undefined
  #connection: OpenConnection<User> | undefined
  readonly #world: World
  readonly #name: string

  constructor(
    world: World,
    name: string,
    readonly user: User,
    readonly acks: boolean,
  ) {
    this.#world = world
    this.#name = name
    this.topics = ['all', `user:${user.id}`, `tenant:${user.tenantId}`]
  }

  get isConnected(): boolean {
    return this.#line?.isCut === false && this.#connection?.isOpen === true
  }

  listensTo({ name, listening }: Message): boolean {
    return this.listeners.has(name) || (!this.acks && !listening)
  }

  written({ id, name }: Event, isLost: boolean): void {
    const message = this.#world.messages.get(messageOf(id))
    if (message !== undefined && !this.acks) this.#world.acknowledge(messageOf(id), this.user)
    if (isLost) return
    if (id !== '') this.#cursor = id
    if (message !== undefined) this.#take(message, id, name)
  }

  async connect(withCursor: boolean): Promise<void> {
    if (this.isConnected) return
    if (!withCursor) this.#cursor = ''
    for (const [message, { name }] of this.#heard)
      if (this.#cursor === '' || !this.listeners.has(name)) this.#heard.delete(message)
    this.#acknowledgedTo(this.#cursor)
    this.#heard.clear()
    this.#handled = []
    this.#line = new Line(this)
    const params = {
      ...{ listeners: [...this.listeners].join(), lastEventId: this.#cursor },
      ...(this.acks ? { acks: '1', clientId: this.#name, clientInstanceId: this.#name } : {}),
    }
    this.#connection = await this.#world.lifecycle.open({
      caller: { user: this.user, identity: identify(this.user) },
      handshake: readHandshake(params, this.#world.settings),
      ...{ requestIp: undefined, userAgent: undefined, stream: this.#line, heartbeatInterval: 0 },
    })
  }

  /** Nobody notices. */
  cut(): void {
    if (this.#line !== undefined) this.#line.isCut = true
  }

  /** The server notices; the page has time for a goodbye, or has not. */
  async leave(goodbye: 'none' | 'before' | 'after'): Promise<void> {
    const [line, connection] = [this.#line, this.#connection]
    if (!this.isConnected || line === undefined || connection === undefined) return
    if (goodbye === 'after') {
      line.end()
      await settled()
    }
    if (goodbye !== 'none') {
      await this.#tell(this.#handled.at(-1))
      this.#world.lifecycle.goodbye(connection, 'bye')
    }
    line.end()
    await settled()
  }

  /** The server notices at last. */
  async end(): Promise<void> {
    this.#line?.end()
    await settled()
  }

  async report(which: number): Promise<void> {
    if (this.isConnected) await this.#tell(this.#handled.at(-1 - which))
  }

  add(name: string): void {
    this.listeners.add(name)
    if (this.isConnected && this.#connection) this.#world.listening.add(this.#connection, [name])
  }

  async remove(name: string): Promise<void> {
    if (!this.listeners.delete(name) || !this.isConnected || this.#connection === undefined) return
    const handled = this.#handled.at(-1)
    const last = this.#heard.get(messageOf(handled))
    for (const [message, heard] of this.#heard)
      if (heard.name === name && !(last?.name === name && heard.seq <= last.seq)) this.#heard.delete(message)
    this.#world.listening.remove(this.#connection, [name], handled)
    await this.#tell(handled)
  }

  #take(message: Message, id: string, name: string): void {
    assert.ok(
      message.topics.some((topic) => this.topics.includes(topic)),
      'for somebody else',
    )
    assert.ok(message.isWaiting || message.count > 0, 'taken back, or expired')
    assert.ok(this.listensTo(message), 'nobody listens')
    assert.ok(this.acks || !this.shown.has(messageOf(id)), 'twice to who cannot tell')
    this.shown.add(messageOf(id))
    this.#handled.push(id)
    if (!this.#heard.has(messageOf(id))) this.#heard.set(messageOf(id), { name, seq: seqOf(id) })
  }

  async #tell(lastEventId: string | undefined): Promise<void> {
    if (this.#connection === undefined || !this.acks) return
    this.#acknowledgedTo(lastEventId ?? '')
    await this.#world.qos.acknowledgements.acknowledged(this.#connection, lastEventId)
  }

  /** By the rule. */
  #acknowledgedTo(cursor: string): void {
    for (const [message, { seq }] of this.#heard) {
      if (seq > seqOf(cursor)) continue
      this.#heard.delete(message)
      this.#world.acknowledge(message, this.user)
    }
  }
}

/** A service without HTTP, its pages, and what must have become of the messages. */
export class World {
  readonly messages = new Map<string, Message>()
  readonly errors: unknown[] = []
  readonly store = memoryStore()
  readonly settings = settle<User>({
    ...{ getUser: () => null, store: this.store, onError: (error) => this.errors.push(error) },
    ...{ ackTimeout: ACK_TIMEOUT, heartbeatInterval: 0, keepaliveTime: 0 },
  })
  readonly #parts = createParts(this.settings)
  readonly connections = this.#parts.connections
  readonly qos = this.#parts.qos
  readonly listening = this.#parts.listening
  readonly lifecycle = this.#parts.lifecycle
  readonly pages = [
    [1, true],
    [1, true],
    [2, true],
    [3, true],
    [1, false],
    [3, false],
  ].map(([id, acks], n) => new Page(this, `page${n}`, { id: Number(id), tenantId: Number(id) % 2 }, !!acks))

  send(topics: readonly string[], name: string, options: QosOptions & { timeout: number }): void {
    const { each = false, listening = false, timeout } = options
    const missing = each ? this.#usersOf(topics, listening ? name : undefined) : undefined
    const sent = this.qos.send(() => topics, name, '', options)
    if (missing?.size === 0) return
    const message: Message = {
      ...{ name, topics, listening, missing, cancel: sent.cancel },
      ...{ expiryTime: Date.now() + timeout, count: 0, isWaiting: true },
    }
    this.messages.set(sent.messageId, message)
    void sent.then((count) => {
      message.outcome = count
    })
  }

  async sendPlain(topics: readonly string[]): Promise<void> {
    await this.#parts.delivery.send(topics, 'a', '')
  }

  async cancel(which: number): Promise<void> {
    const message = [...this.messages.values()].at(-1 - which)
    if (message === undefined) return
    const wasWaiting = message.isWaiting
    message.isWaiting = false
    assert.equal(await message.cancel(), wasWaiting)
  }

  acknowledge(id: string, { id: user }: User): void {
    const message = this.messages.get(id)
    if (!message?.isWaiting) return
    if (message.missing !== undefined && !message.missing.delete(`user:${user}`)) return
    message.count++
    message.isWaiting = (message.missing?.size ?? 0) > 0
  }

  /** The time has passed. */
  expire(): void {
    for (const message of this.messages.values())
      if (message.expiryTime <= Date.now()) message.isWaiting = false
  }

  async check(): Promise<void> {
    await settled()
    const waiting = [...this.messages].filter(([, { isWaiting }]) => isWaiting)
    const { list } = await this.store.pendingPage('sse', 0, 1000)
    assert.deepEqual(
      list.map(({ message }) => message),
      waiting.map(([id]) => id),
      'exactly what nobody acknowledged waits',
    )
    for (const { isWaiting, outcome, count } of this.messages.values())
      assert.equal(outcome, isWaiting ? undefined : count)
    for (const [id, message] of waiting)
      for (const page of this.pages)
        if (this.#isFor(message, page)) assert.ok(page.shown.has(id), 'who listens has been shown it')
    assert.deepEqual(this.errors, [])
  }

  #isFor(message: Message, page: Page): boolean {
    const { topics, missing } = message
    const isAddressed = topics.some((topic) => page.topics.includes(topic))
    const isAsked = missing === undefined || missing.has(`user:${page.user.id}`)
    return page.isConnected && isAddressed && isAsked && page.listensTo(message)
  }

  /** Those named, or those who are online as far as the server knows, and listen. */
  #usersOf(topics: readonly string[], listening: string | undefined): Set<string> {
    const named = topics.filter((topic) => topic.startsWith('user:'))
    const online = [...this.connections.of()].filter(
      (connection) =>
        connection.topics.some((topic) => topics.includes(topic)) &&
        (listening === undefined || connection.listeners.includes(listening)),
    )
    return new Set(named.length > 0 ? named : online.map(({ userId }) => `user:${userId}`))
  }
}
