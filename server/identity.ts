import { createHash } from 'node:crypto'
import { type Id, isId, TOPIC_ALL, type Topic, topicOf } from './topic'

/** What is read of a user, if present. Everything else on the object is the application's own. */
export interface Identity {
  readonly userId: Id | undefined
  readonly userName: string | undefined
  readonly tenantId: Id | undefined
  readonly accessToken: Id | undefined
  /** Equal for two requests exactly if they come from the same user. */
  readonly owner: string
}

/** A user, and who that is. */
export interface Caller<User extends object> {
  readonly user: User
  readonly identity: Identity
}

/** @throws TypeError if an id is something that would make different users equal, e.g. an object. */
export function identify(user: object): Identity {
  const userId = idIn(user, 'id')
  const tenantId = idIn(user, 'tenantId')
  const accessToken = idIn(user, 'accessToken')
  const name: unknown = Reflect.get(user, 'name')
  return {
    userId,
    userName: typeof name === 'string' ? name : undefined,
    tenantId,
    accessToken,
    owner: ownerOf(tenantId, userId, accessToken),
  }
}

/**
 * The topics of a connection, derived from who the user is and never from what a client claims: the client instance is
 * its own word, but bound to the user. The first after `all` is the one that names the user best.
 */
export function topicsFor(identity: Identity, channel: string | undefined, instanceId: string): Topic[] {
  const topics = [TOPIC_ALL]
  if (identity.userId !== undefined) topics.push(topicOf('user', identity.userId))
  if (identity.accessToken !== undefined) topics.push(topicOf('token', identity.accessToken))
  if (identity.tenantId !== undefined) topics.push(topicOf('tenant', identity.tenantId))
  if (channel !== undefined) topics.push(topicOf('channel', channel))
  topics.push(topicOf('instance', `${identity.owner}:${instanceId}`))
  return topics
}

/** Whose it is, as the client may know it: the same text exactly for the same user, at another service too. */
export function ownerTag(owner: string): string {
  return createHash('sha256').update(owner).digest('base64url').slice(0, 22)
}

function idIn(user: object, field: 'id' | 'tenantId' | 'accessToken'): Id | undefined {
  const value: unknown = Reflect.get(user, field)
  if (value === undefined || value === null) return undefined
  if (isId(value)) return value
  throw new TypeError(
    `The user's ${field} must be a string or a number, not ${typeof value}: convert it in getUser.`,
  )
}

function ownerOf(tenantId: Id | undefined, userId: Id | undefined, accessToken: Id | undefined): string {
  const kind = userId !== undefined ? 'id' : 'token'
  return JSON.stringify([String(tenantId ?? ''), kind, String(userId ?? accessToken ?? '')])
}
