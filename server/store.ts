import type { GapReason } from '../client/protocol'
import type { ConnectionRecord } from './connection'
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
  /** Id of the message that it brings, if that is to be acknowledged. */
  readonly message?: string | undefined
}

/** A message that is sent again until it is acknowledged. */
export interface PendingMessage extends Draft {
  readonly message: string
  /** ms since 1970 */
  readonly createTime: number
  /** ms since 1970; nobody gets it from then on. */
  readonly expiryTime: number
  /** Each of these has (still) to acknowledge it, by the topic that names a user; empty: anybody does, once. */
  readonly recipients: readonly Topic[]
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

/** A process that takes part in a service: what the store tells it, and asks of it. None of these may throw. */
export interface ServiceNode {
  /**
   * Takes an event that was appended, on this node or another, for a topic of its connections (it may hear of others),
   * in the order of the numbers.
   * @returns the number of connections it was written to.
   */
  receive(entry: Entry): number
  /**
   * A message that was held from here waits no more: acknowledged by so many, taken back, or expired; of the last it
   * hears when the store is next asked for what was sent or waits.
   */
  settle?(message: string, count: number): void
  /**
   * Nobody can tell any more what was sent to these topics before this place; no topics: to any. What comes behind it
   * is received.
   */
  lost?(place: Position, reason: GapReason, topics?: readonly Topic[]): void
  /** Its open connections. */
  records?(): Iterable<ConnectionRecord>
  /** The connection with this id, also one that has left a moment ago. */
  record?(id: string): ConnectionRecord | undefined
  /** Another node asks something; the answer must fit into JSON. */
  answer?(question: unknown): Promise<unknown>
  /** A node has died, and with it this connection. One of the others hears of it. */
  bereaved?(record: ConnectionRecord): void
  /** Something failed behind the scenes, and is tried again. */
  failed?(error: unknown): void
  /** ms that the page of a connection of a dead node has to come back. */
  readonly grace?: number
}

/** Where a user is who has no connection. */
export type Absence = 'hidden' | 'gone' | 'lost'

/** How a connection leaves. */
export interface Leave {
  /** Where its user is from now on, if nowhere else; not there: where it was before. */
  readonly absence?: Absence
  /** ms that its page has to come back; 0: it will not be found by who comes. */
  readonly grace: number
  /** Its client left by itself, and what it has sent may still be on its way. Default `false`. */
  readonly mayStillSend?: boolean
}

/** What is there of the browser of a connection that comes. */
export interface Arrived {
  /** Its connections on other nodes; they were there before. */
  readonly others: readonly ConnectionRecord[]
  /** One of its connections has ended, here or elsewhere, and may be taken by `takeEnded`. */
  readonly hasEnded: boolean
}

/** What a node knows of the others of its service, and tells them. */
export interface Peers {
  /** This node, as the ids of the connections that it opens end: `NODE_LENGTH` characters of `A-Za-z0-9_-`. */
  readonly node: string
  /** A connection comes: its node hears of its topics from when this resolves, and others find it. */
  arrive(record: ConnectionRecord): Promise<Arrived>
  /** What is known of it has changed. */
  change(record: ConnectionRecord): Promise<void>
  leave(record: ConnectionRecord, leave: Leave): Promise<void>
  /** It left otherwise than it seemed at first. */
  explain(record: ConnectionRecord, absence: Absence): Promise<void>
  /**
   * Takes one of the browser of a newcomer that has left and may come back, so that nobody else does: the one of the same
   * client object, or the first to leave.
   */
  takeEnded(newcomer: ConnectionRecord): Promise<ConnectionRecord | undefined>
  /** Whether the page of one that has left has come back to another node; if not, nobody takes it any more. */
  isTaken(ended: ConnectionRecord): Promise<boolean>
  /** The connections of other nodes, with this topic if one is given. */
  list(topic?: Topic): Promise<ConnectionRecord[]>
  /** The connection of another node with this id. @param mayHaveLeft a moment ago */
  find(id: string, mayHaveLeft: boolean): Promise<ConnectionRecord | undefined>
  /** How many there are, on all nodes. */
  count(): Promise<{ connections: number; users: number }>
  /** How the last connection of the user with this topic left. */
  absence(user: Topic): Promise<Absence>
  /** @returns the answer of another node; `undefined` if there is none in time, because it has just died. */
  ask(node: string, question: unknown): Promise<unknown>
  /** It takes part no more, and hears of nothing. */
  end(): Promise<void>
}

export const NODE_LENGTH = 8

/** Some of those that wait, the oldest first. */
export interface PendingPage {
  readonly list: readonly PendingMessage[]
  readonly total: number
}

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
 * The one seam of the server: everything that must outlive a connection, and everything that nodes know of each other.
 * One store may serve several services; each call names its service.
 * Any call rejects with a `StoreUnavailableError` if the store is out of reach.
 */
export interface Store {
  /** Nodes in other processes may take part in the same services. */
  readonly isShared: boolean

  /**
   * Appends an event to the log and hands it to the nodes that have its topics.
   * @returns the sum of what they returned.
   */
  append(service: string, draft: Draft): Promise<number>

  /** Takes part in a service. */
  join(service: string, node: ServiceNode): Peers

  /**
   * The events of these topics behind a place, up to now; without a place only where the log is now. Costs what there is
   * to read, not what the log holds for others.
   */
  read(service: string, topics: readonly Topic[], after?: Position): Promise<History>

  /**
   * Keeps a message until it is acknowledged, taken back or expired; `append` sends it. One that it has already stays
   * as it is.
   * @throws LimitError if so much waits already that there is no room; nothing is let go for it.
   */
  hold(service: string, message: PendingMessage): Promise<void>

  /** What waits and is for any of these topics, each once, the oldest first. Costs what there is to find. */
  pending(service: string, topics: readonly Topic[]): Promise<readonly PendingMessage[]>

  /** What waits, whomever it is for: `limit` of them after the first `offset`. */
  pendingPage(service: string, offset: number, limit: number): Promise<PendingPage>

  /**
   * Somebody with these topics has handled the message. When nobody else has to, it waits no more. Atomic over all
   * nodes; a second time, of one whose acknowledgement is not asked for, and of an unknown message nothing happens.
   */
  acknowledge(service: string, message: string, topics: readonly Topic[]): Promise<void>

  /**
   * Takes a message back, out of the history as well, as it also is when it expires: nobody gets it any more.
   * @returns whether it was still waiting.
   */
  cancel(service: string, message: string): Promise<boolean>

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
