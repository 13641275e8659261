import type { Connection } from './connection'
import { HttpError } from './errors'
import { type Params, textIn } from './params'
import type { Presence } from './presence'

const MAX_PAGE_SIZE = 1000

/** One page of a list. */
export interface Page<Item> {
  list: Item[]
  total: number
  pageNum: number
  pageSize: number
}

/** The lists for operators: PROTOCOL.md, section 7. Access tokens are secrets and stand in none of them. */
export class Admin<User extends object> {
  readonly #presence: Presence<User>

  constructor(presence: Presence<User>) {
    this.#presence = presence
  }

  users(params: Params): Page<object> {
    const isNamed = nameFilter(params)
    const users = this.#presence.users().filter((user) => isNamed(Reflect.get(user, 'name')))
    return page(users.map(withoutToken), params)
  }

  connections(params: Params): Page<object> {
    const isNamed = nameFilter(params)
    const id = textIn(params, 'id')
    const found = this.#presence
      .connections({ clientId: textIn(params, 'clientId') })
      .filter((connection) => isNamed(connection.userName) && (id === undefined || connection.id === id))
    return page(found.map(summaryOf), params)
  }

  /** Messages that wait to be acknowledged; nothing waits in this version. */
  repositoryMessages(params: Params): Page<object> {
    return page([], params)
  }
}

function page<Item>(items: Item[], params: Params): Page<Item> {
  const pageNum = countIn(params, 'pageNum', 1, Number.MAX_SAFE_INTEGER)
  const pageSize = countIn(params, 'pageSize', 100, MAX_PAGE_SIZE)
  const start = (pageNum - 1) * pageSize
  return { list: items.slice(start, start + pageSize), total: items.length, pageNum, pageSize }
}

function countIn(params: Params, name: string, standard: number, most: number): number {
  const text = textIn(params, name)
  const count = text === undefined ? standard : Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= most) return count
  throw new HttpError(400, `${name} must be a whole number from 1 to ${most}.`)
}

function nameFilter(params: Params): (name: unknown) => boolean {
  const part = textIn(params, 'name')?.toLowerCase()
  return (name) => part === undefined || (typeof name === 'string' && name.toLowerCase().includes(part))
}

function withoutToken(user: object): object {
  return { ...user, accessToken: undefined }
}

/** Without the attributes: an application may well pass its token there. */
function summaryOf<User extends object>(connection: Connection<User>): object {
  const { id, userId, userName, tenantId, channel, clientId, instanceId, clientVersion } = connection
  const { locationHref, screen, accessTime, requestIp, userAgent, serverId, createTime, listeners } =
    connection
  const { sessionDuration, lastRequestTime, messageCount, requestMessageCount, requestUploadCount } =
    connection
  return {
    ...{ id, userId, userName, tenantId, channel, clientId, instanceId, clientVersion },
    ...{ locationHref, screen, accessTime, requestIp, userAgent, serverId, createTime, listeners },
    ...{ sessionDuration, lastRequestTime, messageCount, requestMessageCount, requestUploadCount },
  }
}
