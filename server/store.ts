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

/** Who runs the handler of a key, and for which request. */
export interface Claim {
  /** Whose key it is, as a digest: a store may bound what it remembers for one user. */
  readonly owner: string
  /** Another one for each run. */
  readonly holder: string
  /** The same for a repeat; another request with the same key is refused. */
  readonly fingerprint: string
}

/** A key that runs, or has run. */
export interface KnownKey {
  /** Of the request that it belongs to. */
  readonly fingerprint: string
  /** Not there: it runs. */
  readonly answer?: string
}

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

  /**
   * Asks to run a key: atomic, over all nodes. It is granted (`undefined`) if the key has neither an answer nor a claim,
   * if its claim is of this holder already (so it is renewed), or if the lease of its claim is over: whoever had it
   * counts as dead.
   * @param lease ms
   * @returns what is known of the key, if it was not granted. Nobody waits in the store.
   */
  claim(service: string, key: string, claim: Claim, lease: number): Promise<KnownKey | undefined>

  /**
   * Puts an answer in the place of the claim, for two days if the store's bounds let it. Also if the claim is gone, but
   * not over the claim of another holder and not over an answer: then it returns what is known instead.
   */
  remember(service: string, key: string, claim: Claim, answer: string): Promise<KnownKey | undefined>

  /** Takes a claim back, so that the next may run. Nothing happens if it is of another holder, or there is an answer. */
  release(service: string, key: string, claim: Claim): Promise<void>
}
