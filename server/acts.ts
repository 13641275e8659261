import type { Connections } from './connections'
import { deliberate, unknownConnection } from './errors'
import type { Lifecycle } from './lifecycle'
import type { Listening } from './listening'
import type { Act, Found, Nodes, Question, Result } from './nodes'
import { OpenConnection } from './open-connection'
import type { Settings } from './options'
import type { Qos } from './qos'
import type { Topic } from './topic'

interface Parts<User extends object> {
  readonly settings: Settings<User>
  readonly connections: Connections<OpenConnection<User>>
  readonly lifecycle: Lifecycle<User>
  readonly listening: Listening<User>
  readonly nodes: Nodes<User>
  readonly qos: Qos<User>
}

/** What clients and the application do to connections, whichever node has them. */
export class Acts<User extends object> {
  readonly #parts: Parts<User>

  constructor(parts: Parts<User>) {
    this.#parts = parts
  }

  /** The connection with this id, on any node, that is open, or left a moment ago. */
  async find(id: string): Promise<Found<User> | undefined> {
    return this.#here(id) ?? (await this.#parts.nodes.find(id, true))
  }

  /** The connection with this id that is open, on any node. */
  async findOpen(id: string): Promise<Found<User> | undefined> {
    if (!id) return undefined
    return this.#parts.connections.get(id) ?? (await this.#parts.nodes.find(id, false))
  }

  /** @throws HttpError as the act does; 404 if the connection has left, 503 if its node does not answer. */
  async on(connection: Found<User>, act: Act): Promise<unknown> {
    return connection instanceof OpenConnection
      ? this.#do(connection, act)
      : this.#parts.nodes.demand(connection, act)
  }

  /** A request of a connection came, and nobody waits for what follows from it. */
  noteRequest(connection: Found<User>, act: Omit<Act & { kind: 'request' }, 'kind'>): void {
    if (connection instanceof OpenConnection) void this.#do(connection, { kind: 'request', ...act })
    else if (act.handled !== undefined || act.lastEventId !== undefined)
      this.#parts.nodes.tell(connection, { kind: 'request', ...act })
  }

  /** Those with these topics: what is here at once. @returns to how many it was done. */
  async onTopics(topics: readonly Topic[], act: Act): Promise<number> {
    const { connections, nodes } = this.#parts
    const here = this.#doAll(connections.of(topics), act)
    return (await here) + (await nodes.act(await nodes.elsewhere(topics), act))
  }

  /** Those with these ids, in the same way. */
  async onIds(ids: Iterable<string>, act: Act): Promise<number> {
    const { connections, nodes } = this.#parts
    const all = [...new Set(ids)]
    const here = this.#doAll(
      all.flatMap((id) => connections.get(id) ?? []),
      act,
    )
    const others = all.filter((id) => connections.get(id) === undefined)
    const found = await Promise.all(others.map((id) => nodes.find(id, false)))
    const elsewhere = found.flatMap((connection) => connection ?? [])
    return (await here) + (await nodes.act(elsewhere, act))
  }

  /** Another node asks. */
  async answer({ ids, act }: Question): Promise<Result[]> {
    return Promise.all(ids.map((id) => this.#answerOne(id, act)))
  }

  async #answerOne(id: string, act: Act): Promise<Result> {
    const connection = this.#here(id)
    if (connection === undefined) return null
    try {
      return { value: (await this.#do(connection, act)) ?? null }
    } catch (error) {
      const refusal = deliberate(error)
      if (refusal === undefined) this.#parts.settings.report(error, `${act.kind} of a connection`)
      return { status: refusal?.status ?? 500, message: refusal?.message ?? 'It failed on another node.' }
    }
  }

  #here(id: string): OpenConnection<User> | undefined {
    const { lifecycle } = this.#parts
    return lifecycle.find(id) ?? lifecycle.departed.get(id)
  }

  async #doAll(connections: Iterable<OpenConnection<User>>, act: Act): Promise<number> {
    // A copy: who is ended leaves the group that we walk through.
    const done = await Promise.all([...connections].map((connection) => this.#do(connection, act)))
    return done.filter(Boolean).length
  }

  async #do(connection: OpenConnection<User>, act: Act): Promise<unknown> {
    const { qos } = this.#parts
    switch (act.kind) {
      case 'end':
        return endOne(connection, () => connection.disconnect(act.reason, act.options))
      case 'supersede':
        return endOne(connection, () => connection.supersede())
      case 'move':
        return endOne(connection, () => connection.move())
      case 'duration':
        return connection.setDuration(act.seconds) && this.#changed(connection)
      case 'add':
      case 'remove':
        return this.#listen(connection, act)
      case 'report':
        if (act.isAway !== undefined) connection.isAway = act.isAway
        await Promise.all([
          act.isAway !== undefined && this.#changed(connection),
          qos.acknowledgements.acknowledged(connection, act.lastEventId),
        ])
        return true
      case 'goodbye':
        return this.#sayGoodbye(connection, act)
      case 'request':
        return this.#noteRequest(connection, act)
    }
  }

  async #listen(
    connection: OpenConnection<User>,
    act: Act & { kind: 'add' | 'remove' },
  ): Promise<readonly string[]> {
    const { listening, qos } = this.#parts
    if (!connection.isOpen) throw unknownConnection()
    const before = connection.listeners
    const after =
      act.kind === 'add'
        ? listening.add(connection, act.names)
        : listening.remove(connection, act.names, act.lastEventId)
    connection.lastRequestTime = Date.now()
    void qos.acknowledgements.acknowledged(connection, act.lastEventId)
    if (after !== before) await this.#changed(connection)
    return after
  }

  async #sayGoodbye(
    connection: OpenConnection<User>,
    { reason, sessionDuration, lastEventId }: Act & { kind: 'goodbye' },
  ): Promise<boolean> {
    const { lifecycle, qos } = this.#parts
    if (lifecycle.find(connection.id) === undefined) return false
    if (sessionDuration !== undefined) connection.sessionDuration = sessionDuration
    await qos.acknowledgements.acknowledged(connection, lastEventId)
    await lifecycle.goodbye(connection, reason)
    return true
  }

  #noteRequest(
    connection: OpenConnection<User>,
    { handled, lastEventId }: Act & { kind: 'request' },
  ): boolean {
    connection.lastRequestTime = Date.now()
    if (handled === 'message') connection.requestMessageCount++
    if (handled === 'upload') connection.requestUploadCount++
    void this.#parts.qos.acknowledgements.acknowledged(connection, lastEventId)
    return true
  }

  /** Other nodes are to know, before it counts as done. */
  async #changed(connection: OpenConnection<User>): Promise<true> {
    const { nodes, settings } = this.#parts
    if (connection.isOpen)
      await nodes.peers.change(connection).catch((error) => settings.report(error, 'the store'))
    return true
  }
}

/** @returns when other nodes know: who is told that it is done finds nobody there any more, wherever it asks. */
async function endOne<User extends object>(
  connection: OpenConnection<User>,
  end: () => void,
): Promise<boolean> {
  if (!connection.isOpen) return false
  end()
  await connection.left
  return true
}
