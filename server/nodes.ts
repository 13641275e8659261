import type { ConnectionRecord, DisconnectOptions } from './connection'
import type { Connections } from './connections'
import { HttpError, unknownConnection } from './errors'
import type { Report } from './hooks'
import type { OpenConnection } from './open-connection'
import { RemoteConnection } from './remote-connection'
import { NODE_LENGTH, type Peers } from './store'
import { TOPIC_ALL, type Topic } from './topic'

/** A connection of this node, or of another. */
export type Found<User extends object> = OpenConnection<User> | RemoteConnection<User>

/** What the node that has a connection is to do. */
export type Act =
  | { readonly kind: 'end'; readonly reason?: string | undefined; readonly options?: DisconnectOptions }
  | { readonly kind: 'supersede' }
  | { readonly kind: 'duration'; readonly seconds: number }
  | {
      readonly kind: 'add' | 'remove'
      readonly names: unknown
      readonly lastEventId?: string | undefined
    }
  | {
      readonly kind: 'report'
      readonly isAway?: boolean | undefined
      readonly lastEventId?: string | undefined
    }
  | {
      readonly kind: 'goodbye'
      readonly reason: string
      readonly sessionDuration?: number | undefined
      readonly lastEventId?: string | undefined
    }
  | {
      readonly kind: 'request'
      readonly handled?: 'message' | 'upload'
      readonly lastEventId?: string | undefined
    }

/** What one node asks another. */
export interface Question {
  readonly ids: readonly string[]
  readonly act: Act
}

/** Of each connection: what became of it; `null`: it is not there. */
export type Result =
  | { readonly value: unknown }
  | { readonly status: number; readonly message: string }
  | null

/** The connections of all nodes. */
export class Nodes<User extends object> {
  readonly peers: Peers
  readonly #connections: Connections<OpenConnection<User>>
  readonly #report: Report
  readonly #send: (topics: readonly Topic[], name: string, data: unknown) => Promise<number>

  constructor(
    peers: Peers,
    connections: Connections<OpenConnection<User>>,
    report: Report,
    send: (topics: readonly Topic[], name: string, data: unknown) => Promise<number>,
  ) {
    this.peers = peers
    this.#connections = connections
    this.#report = report
    this.#send = send
  }

  /** As it is known elsewhere. */
  remote(record: ConnectionRecord): RemoteConnection<User> {
    return new RemoteConnection<User>(record as ConnectionRecord<User>, {
      send: this.#send,
      disconnect: ({ id }, reason, options) => this.tell(id, { kind: 'end', reason, options }),
    })
  }

  /** Each connection that has one of these topics, once: those of this node first. */
  async of(topics: readonly Topic[] = [TOPIC_ALL]): Promise<Found<User>[]> {
    const lists = await Promise.all(
      topics.map((topic) => this.peers.list(topic === TOPIC_ALL ? undefined : topic)),
    )
    const others = new Map(lists.flat().map((record) => [record.id, record]))
    return [...this.#connections.of(topics), ...[...others.values()].map((record) => this.remote(record))]
  }

  /** Whether a connection with this id would be of this node. */
  isOurs(id: string): boolean {
    return nodeOf(id) === this.peers.node
  }

  /** The one of another node with this id. @param mayHaveLeft a moment ago */
  async find(id: string, mayHaveLeft: boolean): Promise<RemoteConnection<User> | undefined> {
    if (this.isOurs(id)) return undefined
    const record = await this.peers.find(id, mayHaveLeft)
    return record === undefined ? undefined : this.remote(record)
  }

  /** Lets other nodes do something to their connections. @returns those to whom it was done */
  async act(ids: readonly string[], act: Act): Promise<readonly string[]> {
    const done = [...byNode(ids)].map(async ([node, ids]) => {
      const results = await this.#ask(node, { ids, act })
      return ids.filter((_id, at) => isDone(results?.[at]))
    })
    return (await Promise.all(done)).flat()
  }

  /** As `act`, and nobody waits for it. */
  tell(id: string, act: Act): void {
    this.act([id], act).catch((error) => this.#report(error, 'the store'))
  }

  /**
   * Lets another node do something to a connection, and answers what it does.
   * @throws HttpError that it throws there; 404 if it is not there any more, 503 if its node does not answer.
   */
  async demand(id: string, act: Act): Promise<unknown> {
    const results = await this.#ask(nodeOf(id), { ids: [id], act })
    if (results === undefined)
      throw new HttpError(503, 'The node of this connection does not answer; try again.', {
        'Retry-After': '1',
      })
    const [result] = results
    if (!result) return undefined
    if ('status' in result && result.status === 404) throw unknownConnection()
    if ('status' in result) throw new HttpError(result.status, result.message)
    return result.value
  }

  async #ask(node: string, question: Question): Promise<Result[] | undefined> {
    return (await this.peers.ask(node, question)) as Result[] | undefined
  }
}

const nodeOf = (id: string): string => id.slice(-NODE_LENGTH)

function byNode(ids: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const id of ids) {
    const group = groups.get(nodeOf(id))
    if (group === undefined) groups.set(nodeOf(id), [id])
    else group.push(id)
  }
  return groups
}

function isDone(result: Result | undefined): boolean {
  return Boolean(result && 'value' in result && result.value)
}
