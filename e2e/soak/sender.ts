import type { Backend } from './backend'
import type { Audience, Cast, Role } from './cast'
import type { SoakClient } from './client'
import type { Due } from './ledger'
import { NAME_END, NAME_QUIET } from './names'
import type { Send } from './plan'
import type { Tally } from './tally'

interface Data {
  n: number
  padding?: string
}

export interface SenderParts {
  readonly cast: Cast
  readonly clients: readonly SoakClient[]
  readonly backend: Backend
  readonly tally: Tally
  readonly onError: (error: unknown, where: string) => void
}

/** Sends to audiences, and tells every client that is in one what it is to get. */
export class Sender {
  readonly #parts: SenderParts

  constructor(parts: SenderParts) {
    this.#parts = parts
  }

  send(send: Omit<Send, 'kind'>): void {
    const { audience, times } = send
    for (let time = 0; time < times; time++)
      void this.#guard(
        audience.to === 'connection'
          ? this.#toConnection(audience.client, send)
          : this.#toAll(audience, send),
      )
  }

  /** The last of all, for all. */
  sendLast(): void {
    this.send({ audience: { to: 'all' }, name: NAME_END, key: '', listening: false, padding: 0, times: 1 })
  }

  #toAll(audience: Exclude<Audience, { to: 'connection' }>, send: Omit<Send, 'kind'>): Promise<number> {
    const { name, key, listening } = send
    const data = this.#data(send)
    for (const role of this.#parts.cast.audience(audience)) this.#expect(role, { n: data.n, name, key })
    const { service } = this.#parts.backend
    const options = { listening, ...(key && { key }) }
    switch (audience.to) {
      case 'all':
        return service.sendAll(name, data, options)
      case 'user':
        return service.sendByUserId(audience.ids, name, data, options)
      case 'tenant':
        return service.sendByTenantId(audience.ids, name, data, options)
      case 'token':
        return service.sendByAccessToken(audience.ids, name, data, options)
      case 'channel':
        return service.sendByChannel(audience.ids, name, data, options)
    }
  }

  async #toConnection(id: number, send: Omit<Send, 'kind'>): Promise<void> {
    const client = this.#parts.clients[id]
    if (client === undefined || (send.name === NAME_QUIET && !client.role.listensToQuiet)) return
    const { service } = this.#parts.backend
    const all = await service.getConnections({ userId: client.role.user.id })
    const connection = all.findLast(({ attributes }) => attributes['client'] === String(id))
    // By the service before it would go to a log that may be over, and all numbers after it would be off by one.
    if (connection === undefined || service !== this.#parts.backend.service) return
    const data = this.#data(send)
    // The server may not have noticed yet that this one is gone for good.
    const { instance } = client
    if (connection.instanceId === instance)
      this.#expect(client.role, { n: data.n, name: send.name, key: '', instance })
    await connection.send(send.name, data)
  }

  /** From here to the store nothing may wait: numbers are given in the order of the log. */
  #data({ padding }: Pick<Send, 'padding'>): Data {
    const n = ++this.#parts.tally.sent
    return padding > 0 ? { n, padding: 'x'.repeat(padding) } : { n }
  }

  #expect({ client, listensToQuiet }: Role, due: Due): void {
    if (due.name !== NAME_QUIET || listensToQuiet) this.#parts.clients[client]?.ledger.expect(due)
  }

  async #guard(sent: Promise<unknown>): Promise<void> {
    try {
      await sent
    } catch (error) {
      this.#parts.onError(error, 'sending')
    }
  }
}
