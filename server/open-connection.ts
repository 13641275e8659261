import {
  type CatchUp,
  type ConnectClose,
  EVENT_CONNECT_CLOSE,
  EVENT_SET_DURATION,
  type SetDuration,
} from '../client/protocol'
import type { Connection, DisconnectOptions } from './connection'
import type { Position } from './cursor'
import { encode, textOf } from './encode'
import { type End, LOST } from './end'
import { KnownConnection, type Origin } from './known-connection'
import { LONGEST_DELAY } from './params'
import type { Replay } from './replay'
import type { Draft, Entry } from './store'
import type { Channel } from './stream'
import type { Topic } from './topic'

/** What a connection is made of. */
export interface ConnectionParts<User extends object> extends Origin<User> {
  readonly stream: Channel
  /** ms, as the client is told. */
  readonly heartbeatInterval: number
  /** Bytes that may wait for the client to read. */
  readonly bufferLimit: number
  /** Sends to topics. */
  readonly send: (topics: readonly Topic[], name: string, data: unknown) => Promise<number>
  /** Hears of each event that brings a message, when it is on its way to the client. */
  readonly written: (connection: OpenConnection<User>, entry: Entry) => void
}

/** Called once, when a connection has ended. @returns when the other nodes know */
export type Leave<User extends object> = (connection: OpenConnection<User>, end: End) => Promise<void>

/** What waits till the history is read; without an entry it is not in the log. */
interface Held {
  readonly event: Buffer
  readonly entry?: Entry
}

const SUPERSEDED: End = { by: 'line', reason: 'superseded' }

/** The connection as the server holds it. */
export class OpenConnection<User extends object> extends KnownConnection<User> implements Connection<User> {
  /** Its client acknowledges messages. */
  readonly acks: boolean
  readonly catchUp: ReadonlyMap<string, CatchUp>
  readonly closed: Promise<void>
  /** Where it is written. */
  readonly stream: Channel
  readonly heartbeatInterval: number
  /** Of the log that its client is in; not there while that is still to be read. */
  epoch: string | undefined
  /** Once it has ended: when the other nodes know. */
  left = Promise.resolve()

  readonly #bufferLimit: number
  readonly #send: ConnectionParts<User>['send']
  readonly #written: ConnectionParts<User>['written']
  readonly #leave: Leave<User>
  /** What comes while its history is read; then there is none. */
  #held: Held[] | undefined = []
  #heldBytes = 0
  /** What was read up to here need not be written again; infinite: it is being read. */
  #readUpTo = Number.POSITIVE_INFINITY
  /** While its history is read, the log has begun anew here. */
  #anew: { readonly finish: Buffer; readonly place: Position } | undefined
  #expiry: NodeJS.Timeout | undefined
  #isOpen = true
  #isWelcome = false

  constructor(parts: ConnectionParts<User>, leave: Leave<User>) {
    super(parts)
    const { handshake } = parts
    this.acks = handshake.acks
    this.catchUp = handshake.catchUp
    this.stream = parts.stream
    this.closed = parts.stream.closed
    this.heartbeatInterval = parts.heartbeatInterval
    this.#bufferLimit = parts.bufferLimit
    this.#send = parts.send
    this.#written = parts.written
    this.#leave = leave
    this.#expireAfter(handshake.keepaliveTime)
    void this.closed.then(() => this.#end(LOST))
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether an event of its topics is for it. Who acknowledges, acknowledges what it listens to. */
  takes({ listening, message, name }: Draft): boolean {
    const mustListen = listening || (message !== undefined && this.acks)
    return !mustListen || this.listeners.includes(name)
  }

  async send(name: string, data?: unknown): Promise<number> {
    return this.#send(this.topics.slice(-1), name, data)
  }

  disconnect(reason = 'server-close', options: DisconnectOptions = {}): void {
    this.#dismiss({ by: 'server', reason }, options)
  }

  /** Its client has been told of it, and the application too. */
  get isWelcome(): boolean {
    return this.#isWelcome
  }

  /** It could not be opened: nobody needs to hear of it. */
  abandon(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    clearTimeout(this.#expiry)
    this.left = this.#leave(this, LOST)
  }

  /** Tells the client of it, unless that knows already. */
  welcome(finish?: Buffer): void {
    this.#isWelcome = true
    if (finish === undefined) return
    this.messageCount++
    this.stream.write(finish)
  }

  /** Writes what it missed. */
  pour({ count, messages, events }: Replay): void {
    this.messageCount += count
    if (count > 0) this.stream.pour(events())
    for (const entry of messages) this.#tellWritten(entry)
  }

  /** Keeps back what comes, till its history is read. */
  hold(): void {
    this.#held = []
    this.#heldBytes = 0
    this.#readUpTo = Number.POSITIVE_INFINITY
    this.#anew = undefined
  }

  /** Its history up to this place was written. */
  readTo({ epoch, seq }: Position): void {
    const anew = this.#anew
    this.#readUpTo = seq
    this.epoch = epoch
    if (anew === undefined || (anew.place.epoch === epoch && anew.place.seq <= seq)) return
    // What was read is of the log before, or does not reach so far.
    this.#readUpTo = anew.place.seq
    this.epoch = anew.place.epoch
    this.#held?.unshift({ event: anew.finish })
  }

  /** Nothing up to this place is missing to it, or it was told so. */
  isAt({ epoch, seq }: Position): boolean {
    return this.#held === undefined && epoch === this.epoch && seq <= this.#readUpTo
  }

  /** Nobody can tell what it missed up to this place: it is told so, and gets what is behind it. */
  beginAnew(finish: Buffer, place: Position): void {
    if (this.#held === undefined) {
      this.#readUpTo = place.seq
      this.epoch = place.epoch
      this.welcome(finish)
    } else {
      this.#held = []
      this.#anew = { finish, place }
    }
  }

  /** Writes what came while its history was read, and from now on all that comes. */
  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const { event, entry } of held) {
      if (!this.#isOpen) return
      if (entry === undefined) this.stream.tell(event)
      else this.#write(event, entry)
    }
  }

  /** Writes an event of the log. @returns whether it was written, or will be. */
  deliver(event: Buffer, entry: Entry): boolean {
    if (!this.#isOpen) return false
    if (this.#held === undefined) return this.#write(event, entry)
    return this.#hold({ event, entry })
  }

  /** Tells the client what its session duration is. */
  setDuration(seconds: number): boolean {
    const told: SetDuration = { duration: String(seconds) }
    if (!this.tell(EVENT_SET_DURATION, told)) return false
    this.sessionDuration = seconds
    return true
  }

  /** Writes an event that is not in the log. @returns whether it was written, or will be. */
  tell(name: string, data: object): boolean {
    if (!this.#isOpen || this.#held === undefined) return this.#tell(name, data)
    // Nothing comes before connect-finish, nor before what was sent earlier.
    return this.#hold({ event: encode(name, textOf(data)) })
  }

  /**
   * The client said goodbye. If its stream is still open it is told all the same: the original client, when its page is
   * hidden, keeps the stream until this comes, and an end without a word would bring it back.
   */
  goodbye(reason: string): void {
    this.#dismiss({ by: 'client', reason }, { reconnect: false })
  }

  /** Its client object has another stream: its line broke, and here nothing was heard of that yet. */
  supersede(): void {
    this.#dismiss(SUPERSEDED)
  }

  /** It continues on another node: its client has nothing to hear of that. */
  move(): void {
    this.#end(SUPERSEDED)
  }

  #dismiss(end: End, options: DisconnectOptions = {}): void {
    // What was sent before it comes before it.
    if (this.#readUpTo < Number.POSITIVE_INFINITY) this.release()
    const close: ConnectClose = { connectionId: this.id, reason: end.reason, reconnect: true, ...options }
    this.#tell(EVENT_CONNECT_CLOSE, close)
    this.#end(end)
  }

  #hold(held: Held): boolean {
    this.#held?.push(held)
    this.#heldBytes += held.event.length
    if (this.#heldBytes <= this.#bufferLimit) return true
    this.#held = []
    this.#dismiss({ by: 'line', reason: 'slow-reader' })
    return false
  }

  #write(event: Buffer, entry: Entry): boolean {
    if (entry.seq <= this.#readUpTo) return true
    if (this.stream.waiting + event.length <= this.#bufferLimit) {
      this.messageCount++
      const isTaken = this.stream.write(event)
      this.#tellWritten(entry)
      return isTaken
    }
    // Memory has an end. What it does not read any more is in the log; it comes back for that.
    this.stream.discard()
    this.#dismiss({ by: 'line', reason: 'slow-reader' })
    return false
  }

  #tellWritten(entry: Entry): void {
    if (entry.message !== undefined && this.#isOpen && this.stream.hasReader) this.#written(this, entry)
  }

  #tell(name: string, data: object): boolean {
    if (!this.#isOpen || !this.stream.tell(encode(name, textOf(data)))) return false
    this.messageCount++
    return true
  }

  #expireAfter(ms: number): void {
    if (ms === 0) return
    // Not all after the same time: those who came together would for ever come together.
    const life = ms * (0.8 + 0.2 * Math.random())
    this.#expiry = setTimeout(
      () => this.#end({ by: 'line', reason: 'timeout' }),
      Math.min(life, LONGEST_DELAY),
    )
    this.#expiry.unref()
  }

  #end(end: End): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    clearTimeout(this.#expiry)
    this.stream.end()
    this.left = this.#leave(this, end)
  }
}
