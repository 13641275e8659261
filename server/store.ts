import type { GapReason } from '../client/protocol'
import type { Position } from './cursor'
import type { Topic } from './topic'

/** An event on its way into the log. */
export interface Draft {
  /** Whom it is for, each topic once; at least one. */
  readonly topics: readonly Topic[]
  readonly name: string
  readonly data: string
  /** Only for connections that listen to its name. */
  readonly listening: boolean
  /** Events of one name and key replace one another for a client that catches up on the latest only. */
  readonly key: string
}

/** An event of the log. Numbers grow with every event of the service and are never used twice within an epoch. */
export interface Entry extends Draft, Position {}

/** What lies behind a place in the log. */
export interface History {
  readonly epoch: string
  /** Number of the last event of the service, whomever it was for. */
  readonly head: number
  /** In the order of their numbers, each once. Empty if there is a gap. */
  readonly entries: readonly Entry[]
  /** `epoch`: the place is in another log. `floor`: one of the topics has let go of an event behind the place. */
  readonly gap?: GapReason
}

/** Takes an event that was appended, on this node or another. @returns the number of connections it was written to. */
export type Receive = (entry: Entry) => number

/**
 * The one seam of the server: everything that must outlive a connection. One store may serve several services;
 * each call names its service.
 */
export interface Store {
  /**
   * Appends an event to the log and hands it to all who subscribed, in the order of the numbers.
   * @returns the sum of what they returned.
   */
  append(service: string, draft: Draft): Promise<number>

  /** @returns the function that unsubscribes. */
  subscribe(service: string, receive: Receive): () => void

  /**
   * The events of these topics behind a place, up to now; without a place only where the log is now. Costs what there is
   * to read, not what the log holds for others.
   */
  read(service: string, topics: readonly Topic[], after?: Position): Promise<History>

  /**
   * Remembers a duration for a topic with nobody online, until somebody comes.
   * @param seconds What the client is to take as its `sessionDuration`.
   */
  setDuration(service: string, topic: Topic, seconds: number): Promise<void>

  /** Hands out what was remembered for any of these topics (the last one's wins), and forgets it. */
  takeDuration(service: string, topics: readonly Topic[]): Promise<number | undefined>
}
