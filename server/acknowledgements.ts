import { messageIn, parseCursor } from './cursor'
import type { OpenConnection } from './open-connection'
import type { Settings } from './options'
import type { Entry } from './store'
import type { Topic } from './topic'

/** How many clients that left are remembered; beyond that the oldest goes, and is sent again what it may know. */
const MOST_AWAY = 1000

/** A message on its way to a connection. */
interface Written {
  readonly name: string
  readonly epoch: string
  /** Where it was written first: whoever is behind that has handled it. */
  readonly seq: number
  /** When it was written last, ms of the process' clock. */
  readonly at: number
  readonly times: number
}

type Outstanding = Map<string, Written>

/** Which messages were written to which connection, and not acknowledged yet. */
export class Acknowledgements<User extends object> {
  readonly #settings: Settings<User>
  readonly #open = new Map<OpenConnection<User>, Outstanding>()
  /** Of clients that left: where they come back with their cursor, that tells what they have handled. */
  readonly #away = new Map<Topic, Outstanding>()

  constructor(settings: Settings<User>) {
    this.#settings = settings
  }

  get isEmpty(): boolean {
    return this.#open.size === 0
  }

  /** An event was written. One to a client that does not acknowledge counts as handled. */
  written(connection: OpenConnection<User>, { message, name, epoch, seq }: Entry): void {
    if (message === undefined) return
    const outstanding: Outstanding = this.#open.get(connection) ?? new Map()
    this.#open.set(connection, outstanding)
    const before = outstanding.get(message)
    const first = before?.epoch === epoch ? before.seq : seq
    const times = (before?.times ?? 0) + 1
    outstanding.set(message, { name, epoch, seq: first, at: performance.now(), times })
    if (!connection.acks) void this.handled(connection, [message])
  }

  isOutstanding(connection: OpenConnection<User>, message: string): boolean {
    return this.#open.get(connection)?.has(message) === true
  }

  /** The client has handled what was written to it up to this place. What is no cursor says nothing. */
  async acknowledged(connection: OpenConnection<User>, lastEventId: string | undefined): Promise<void> {
    await this.handled(connection, upTo(lastEventId, this.#of(connection)))
  }

  /** The client has handled these. What the store cannot take down stays outstanding. */
  async handled(connection: OpenConnection<User>, messages: Iterable<string>): Promise<void> {
    const acknowledgeOne = async (message: string) => {
      if (await this.#acknowledge(connection, message)) this.forget(connection, message)
    }
    await Promise.all([...messages].map(acknowledgeOne))
  }

  /** A client comes, or comes back; then its cursor acknowledges what it was written before. */
  async returned(connection: OpenConnection<User>, lastEventId: string | undefined): Promise<void> {
    const topic = instanceOf(connection)
    const outstanding = this.#away.get(topic)
    this.#away.delete(topic)
    const isHeard = (message: string) => connection.listeners.includes(outstanding?.get(message)?.name ?? '')
    // What it listens to no more it may have got without handling it.
    await this.handled(connection, upTo(lastEventId, outstanding).filter(isHeard))
  }

  left(connection: OpenConnection<User>): void {
    const outstanding = this.#open.get(connection)
    this.#open.delete(connection)
    if (outstanding === undefined || !connection.acks) return
    const topic = instanceOf(connection)
    this.#away.delete(topic)
    this.#away.set(topic, outstanding)
    const [oldest] = this.#away.keys()
    if (this.#away.size > MOST_AWAY && oldest !== undefined) this.#away.delete(oldest)
  }

  /**
   * The client listens to these names no more: nobody can tell whether it handled what was on its way.
   * @param lastEventId Of the last message that it handled: then it handled those of the same name before it, too.
   */
  unheard(connection: OpenConnection<User>, names: readonly string[], lastEventId: string | undefined): void {
    const outstanding = this.#open.get(connection)
    const last = outstanding?.get(messageIn(lastEventId) ?? '')
    for (const [message, { name, seq }] of [...(outstanding ?? [])]) {
      const isHandled = name === last?.name && seq <= last.seq
      if (names.includes(name) && !isHandled) this.forget(connection, message)
    }
  }

  /** It is not waited for any more. */
  forget(connection: OpenConnection<User>, message: string): void {
    this.#of(connection)?.delete(message)
    if (this.#open.get(connection)?.size === 0) this.#open.delete(connection)
    const topic = instanceOf(connection)
    if (this.#away.get(topic)?.size === 0) this.#away.delete(topic)
  }

  /** What was to be acknowledged by now. */
  overdue(): [connection: OpenConnection<User>, messages: Set<string>][] {
    const now = performance.now()
    const isLate = ({ at, times }: Written) => now - at >= this.#settings.ackTimeout * 2 ** (times - 1)
    const lateOf = (outstanding: Outstanding) =>
      [...outstanding].filter(([, written]) => isLate(written)).map(([message]) => message)
    return [...this.#open].map(([connection, outstanding]) => [connection, new Set(lateOf(outstanding))])
  }

  /** Its client may have left; a goodbye or a report comes after that. */
  #of(connection: OpenConnection<User>): Outstanding | undefined {
    return this.#open.get(connection) ?? this.#away.get(instanceOf(connection))
  }

  /** @returns whether it is known now; else it is asked for again. */
  async #acknowledge({ topics }: OpenConnection<User>, message: string): Promise<boolean> {
    const { store, name, report } = this.#settings
    try {
      await store.acknowledge(name, message, topics)
      return true
    } catch (error) {
      report(error, 'the store')
      return false
    }
  }
}

/** The messages among these that whoever is at this place has handled. */
function upTo(lastEventId: string | undefined, outstanding: Outstanding | undefined): string[] {
  const cursor = lastEventId === undefined ? undefined : parseCursor(lastEventId)
  return [...(outstanding ?? [])]
    .filter(([, { epoch, seq }]) => cursor !== undefined && epoch === cursor.epoch && seq <= cursor.seq)
    .map(([message]) => message)
}

function instanceOf<User extends object>({ topics }: OpenConnection<User>): Topic {
  return topics.at(-1) ?? ''
}
