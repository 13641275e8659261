import type { Request, Response } from 'express'
import { MODE_POLL } from '../client/protocol'
import type { Access } from './access'
import type { Acts } from './acts'
import type { Connections } from './connections'
import { HttpError } from './errors'
import { readHandshake } from './handshake'
import type { Caller } from './identity'
import type { Lifecycle } from './lifecycle'
import { OpenConnection } from './open-connection'
import type { Settings } from './options'
import { amountIn, type Params, textIn } from './params'
import { LINGER, PollStream } from './poll-stream'
import { RemoteConnection } from './remote-connection'
import { EventStream } from './stream'
import { Turn } from './turn'

/** Longest time a poll waits for an event, ms; proxies give up on a silent answer after 30 s or more. */
const MAX_WAIT = 25_000

export interface ConnectParts<User extends object> {
  readonly settings: Settings<User>
  readonly access: Access<User>
  readonly acts: Acts<User>
  readonly connections: Connections<OpenConnection<User>>
  readonly lifecycle: Lifecycle<User>
}

type Visitor<User extends object> = Omit<
  Parameters<Lifecycle<User>['open']>[0],
  'stream' | 'heartbeatInterval'
>

/** PROTOCOL.md, sections 3 and 5: a stream that stays open, or one answer of a connection by polling. */
export class ConnectRoute<User extends object> {
  readonly #parts: ConnectParts<User>
  readonly #turn: Turn
  /** Ended between two polls, and still to be told so. */
  readonly #farewells = new Map<string, OpenConnection<User>>()
  /** The last poll of each connection that is not here, and perhaps continues here. */
  readonly #turns = new Map<string, Promise<void>>()

  constructor(parts: ConnectParts<User>) {
    this.#parts = parts
    this.#turn = new Turn((error) => parts.settings.report(error, 'a stream'))
  }

  /** @throws HttpError what the request may not, or is not. */
  async answer(req: Request, res: Response, caller: Caller<User>, params: Params): Promise<void> {
    const { access, lifecycle, settings } = this.#parts
    const handshake = readHandshake(withHeader(req, params), settings)
    await access.checkChannel(caller.user, handshake.channel, req)
    lifecycle.checkOpen()
    // The client may have gone while we asked; a connection opened now would never be seen to leave.
    if (res.destroyed) return
    // Behind another request on one socket: it would get its socket when that has ended, or never.
    if (res.socket === null)
      throw new HttpError(400, 'A stream must not be pipelined; ask on a connection of its own.')
    const isPoll = textIn(params, 'mode') === MODE_POLL
    const response = openResponse(req, res, this.#turn, !isPoll)
    const visitor = { caller, handshake, requestIp: req.ip, userAgent: req.get('user-agent') }
    if (isPoll) return this.#pollInTurn(visitor, params, response)
    const { heartbeatInterval } = settings
    await lifecycle.open({ ...visitor, stream: response, heartbeatInterval })
  }

  /** Two that ask at once with an id of another node must not both continue it: there is one connection with an id. */
  async #pollInTurn(visitor: Visitor<User>, params: Params, response: EventStream): Promise<void> {
    const id = textIn(params, 'connectionId') ?? ''
    if (id === '' || this.#parts.connections.get(id) !== undefined)
      return this.#poll(visitor, params, response)
    const before = this.#turns.get(id) ?? Promise.resolve()
    const turn = before.catch(() => {}).then(() => this.#poll(visitor, params, response))
    this.#turns.set(id, turn)
    try {
      await turn
    } finally {
      if (this.#turns.get(id) === turn) this.#turns.delete(id)
    }
  }

  async #poll(visitor: Visitor<User>, params: Params, response: EventStream): Promise<void> {
    const { access, acts, lifecycle } = this.#parts
    const connectionId = textIn(params, 'connectionId') ?? ''
    const known = this.#farewells.get(connectionId) ?? (await acts.findOpen(connectionId))
    if (known !== undefined) access.checkOwner(known, visitor.caller)
    const wait = Math.min(amountIn(params, 'wait') ?? MAX_WAIT, MAX_WAIT)
    const { lastEventId } = visitor.handshake
    if (known instanceof OpenConnection && known.stream instanceof PollStream) {
      const { stream } = known
      const isCurrent = stream.attach(response)
      const isFarewell = this.#farewells.delete(known.id)
      await lifecycle.resume(known, lastEventId, isCurrent)
      return isCurrent() ? stream.answer(isFarewell ? 0 : wait) : undefined
    }
    const stream = new PollStream()
    stream.attach(response)
    const continued = known instanceof RemoteConnection ? known.id : undefined
    const connection = await lifecycle.open({ ...visitor, stream, heartbeatInterval: MAX_WAIT }, continued)
    void connection.closed.then(() => this.#keepFarewell(connection, stream))
    // Who begins, or has lost its connection, is to know the new one at once.
    const isNew = continued === undefined && connectionId !== ''
    stream.answer(lastEventId === undefined || isNew ? 0 : wait)
  }

  #keepFarewell(connection: OpenConnection<User>, stream: PollStream): void {
    if (!stream.hasFarewell) return
    this.#farewells.set(connection.id, connection)
    setTimeout(() => this.#farewells.delete(connection.id), LINGER).unref()
  }
}

/** An EventSource that comes back says in a header where it is; its address still has what stood there at first. */
function withHeader(req: Request, params: Params): Params {
  const lastEventId = req.get('last-event-id')
  return lastEventId ? Object.assign(params, { lastEventId }) : params
}

function openResponse(req: Request, res: Response, turn: Turn, isOpenEnded: boolean): EventStream {
  req.socket.setNoDelay(true)
  // Events may be far apart: an idle limit that the application set for its other requests must not end the stream.
  req.socket.setTimeout(0)
  return new EventStream(res, turn, isOpenEnded)
}
