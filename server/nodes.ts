import type { ConnectionRecord, DisconnectOptions } from './connection'
import type { Connections } from './connections'
import { HttpError, unknownConnection } from './errors'
import type { Report } from './hooks'
import type { OpenConnection } from './open-connection'
import { RemoteConnection } from './remote-connection'
import type { Peers } from './store'
import { TOPIC_ALL, type Topic } from './topic'

/** A connection of this node, or of another. */
export type Found<User extends object> = OpenConnection<User> | RemoteConnection<User>

/** What the node that has a connection is to do. */
export type Act =
  | { readonly kind: 'end'; readonly reason?: string | undefined; readonly options?: DisconnectOptions }
  | { readonly kind: 'supersede' | 'move' }
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
      disconnect: (record, reason, options) => this.tell(record, { kind: 'end', reason, options }),
    })
  }

  /** Each connection that has one of these topics, once: those of this node first. */
  async of(topics: readonly Topic[] = [TOPIC_ALL]): Promise<Found<User>[]> {
    const others = await this.elsewhere(topics)
    return [...this.#connections.of(topics), ...others]
  }

  /** The same of the others alone. */
  async elsewhere(topics: readonly Topic[]): Promise<RemoteConnection<User>[]> {
    const lists = await Promise.all(
      topics.map((topic) => this.peers.list(topic === TOPIC_ALL ? undefined : topic)),
    )
    const records = new Map(lists.flat().map((record) => [record.id, record]))
    return [...records.values()].map((record) => this.remote(record))
  }

  /** The one of another node with this id. @param mayHaveLeft a moment ago */
  async find(id: string, mayHaveLeft: boolean): Promise<RemoteConnection<User> | undefined> {
    const record = await this.peers.find(id, mayHaveLeft)
    return record === undefined ? undefined : this.remote(record)
  }

  /** Lets other nodes do something to their connections. @returns to how many it was done */
  async act(records: readonly ConnectionRecord[], act: Act): Promise<number> {
    const done = [...byNode(records)].map(async ([node, ids]) => {
      const results = await this.#ask(node, { ids, act })
      return results?.filter(isDone).length ?? 0
    })
    return (await Promise.all(done)).reduce((sum, count) => sum + count, 0)
  }

  /** As `act`, and nobody waits for it. */
  tell(record: ConnectionRecord, act: Act): void {
    this.act([record], act).catch((error) => this.#report(error, 'the store'))
  }

  /**
   * Lets another node do something to a connection, and answers what it does.
   * @throws HttpError that it throws there; 404 if it is not there any more, 503 if its node does not answer.
   */
  async demand({ node, id }: ConnectionRecord, act: Act): Promise<unknown> {
    const results = await this.#ask(node, { ids: [id], act })
    if (results === undefined)
      throw new HttpError(503, 'The node of this connection does not answer; try again.', {
        'Retry-After': '1',
      })
    const [result] = results
    if (!result && (act.kind === 'add' || act.kind === 'remove')) throw unknownConnection()
    if (!result) return undefined
    if ('status' in result && result.status === 404) throw unknownConnection()
    if ('status' in result) throw new HttpError(result.status, result.message)
    return result.value
  }

  async #ask(node: string, question: Question): Promise<Result[] | undefined> {
    return (await this.peers.ask(node, question)) as Result[] | undefined
  }
}

function byNode(records: readonly ConnectionRecord[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const { node, id } of records) {
    const group = groups.get(node)
    if (group === undefined) groups.set(node, [id])
    else group.push(id)
  }
  return groups
}

function isDone(result: Result): boolean {
  return Boolean(result && 'value' in result && result.value)
}
