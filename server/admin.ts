import type { ListPage, OnlineUser, PendingSummary } from '../client/protocol'
import { HttpError } from './errors'
import type { Found } from './nodes'
import type { Settings } from './options'
import { type Params, textIn } from './params'
import type { Presence } from './presence'
import type { PendingMessage } from './store'
import { connectionSummary, messageSummary, withoutToken } from './summaries'

const MAX_PAGE_SIZE = 1000

/** Which page of a list. */
interface Paging {
  readonly pageNum: number
  readonly pageSize: number
}

/** The lists for operators: PROTOCOL.md, section 8. */
export class Admin<User extends object> {
  readonly #settings: Settings<User>
  readonly #presence: Presence<User>

  constructor(settings: Settings<User>, presence: Presence<User>) {
    this.#settings = settings
    this.#presence = presence
  }

  async users(params: Params): Promise<ListPage<object>> {
    const isNamed = nameFilter(params)
    const users = (await this.#presence.users()).filter((user) => isNamed(Reflect.get(user, 'name')))
    return pageOf(users, params, withoutToken)
  }

  async connections(params: Params): Promise<ListPage<object>> {
    const isNamed = nameFilter(params)
    const id = oneIn(params, 'id')
    const found = await this.#presence.connections({
      clientId: oneIn(params, 'clientId'),
      userId: oneIn(params, 'userId'),
      tenantId: oneIn(params, 'tenantId'),
      channel: oneIn(params, 'channel'),
      listening: oneIn(params, 'listening'),
    })
    const shown = found.filter(
      (connection) => isNamed(connection.userName) && (id === undefined || connection.id === id),
    )
    return pageOf(shown, params, connectionSummary)
  }

  /** Messages that wait to be acknowledged; `name` is part of the event's. */
  async repositoryMessages(params: Params): Promise<ListPage<PendingSummary>> {
    const { store, name } = this.#settings
    if (oneIn(params, 'name') !== undefined) {
      const isNamed = nameFilter(params)
      return pageOf(
        (await this.#pending()).filter((message) => isNamed(message.name)),
        params,
        messageSummary,
      )
    }
    const { pageNum, pageSize } = pagingIn(params)
    const { list, total } = await store.pendingPage(name, (pageNum - 1) * pageSize, pageSize)
    return { list: list.map(messageSummary), total, pageNum, pageSize }
  }

  /** Who is online, with all their connections. */
  async monitorUsers(params: Params): Promise<ListPage<OnlineUser>> {
    const isNamed = nameFilter(params)
    const groups = new Map<string, Found<User>[]>()
    for (const connection of await this.#presence.connections()) {
      if (!isNamed(connection.userName)) continue
      const group = groups.get(connection.owner)
      if (group === undefined) groups.set(connection.owner, [connection])
      else group.push(connection)
    }
    return pageOf([...groups.values()], params, onlineUser)
  }

  async #pending(): Promise<PendingMessage[]> {
    const { store, name } = this.#settings
    const all: PendingMessage[] = []
    for (;;) {
      const { list } = await store.pendingPage(name, all.length, MAX_PAGE_SIZE)
      all.push(...list)
      if (list.length < MAX_PAGE_SIZE) return all
    }
  }
}

function onlineUser<User extends object>(connections: Found<User>[]): OnlineUser {
  const { userId, userName, tenantId } = connections[0] ?? {}
  return {
    ...{ userId, userName, tenantId },
    isAway: connections.every(({ isAway }) => isAway),
    connections: connections.map(connectionSummary),
  }
}

function pageOf<Item, Shown>(
  items: readonly Item[],
  params: Params,
  show: (item: Item) => Shown,
): ListPage<Shown> {
  const { pageNum, pageSize } = pagingIn(params)
  const start = (pageNum - 1) * pageSize
  return { list: items.slice(start, start + pageSize).map(show), total: items.length, pageNum, pageSize }
}

/** @throws HttpError 400 */
function pagingIn(params: Params): Paging {
  return {
    pageNum: countIn(params, 'pageNum', 1, Math.floor(Number.MAX_SAFE_INTEGER / MAX_PAGE_SIZE)),
    pageSize: countIn(params, 'pageSize', 100, MAX_PAGE_SIZE),
  }
}

function countIn(params: Params, name: string, standard: number, most: number): number {
  const text = oneIn(params, name)
  const count = text === undefined ? standard : Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= most) return count
  throw new HttpError(400, `${name} must be a whole number from 1 to ${most}.`)
}

/** @throws HttpError 400 for several: nobody could tell which is meant. */
function oneIn(params: Params, name: string): string | undefined {
  if (Array.isArray(params[name])) throw new HttpError(400, `${name} must be given once.`)
  return textIn(params, name)
}

function nameFilter(params: Params): (name: unknown) => boolean {
  const part = oneIn(params, 'name')?.toLowerCase()
  return (name) => part === undefined || (typeof name === 'string' && name.toLowerCase().includes(part))
}
