import { randomBytes } from 'node:crypto'
import type { ConnectionRecord } from './connection'
import type { Handshake } from './handshake'
import { type Caller, topicsFor } from './identity'
import { digestOf } from './key'
import type { Id, Topic } from './topic'

/** Of whom and of what a connection is. */
export interface Origin<User extends object> {
  readonly id: string
  readonly node: string
  readonly caller: Caller<User>
  readonly handshake: Handshake
  readonly requestIp: string | undefined
  readonly userAgent: string | undefined
  readonly serverId: string
}

/** What is known of a connection of this node; what of it others may know is its JSON. */
export class KnownConnection<User extends object> implements ConnectionRecord<User> {
  readonly id: string
  readonly node: string
  readonly user: User
  readonly userId: Id | undefined
  readonly userName: string | undefined
  readonly tenantId: Id | undefined
  readonly accessToken: Id | undefined
  readonly channel: string | undefined
  readonly clientId: string | undefined
  readonly instanceId: string | undefined
  readonly clientVersion: string | undefined
  readonly locationHref: string | undefined
  readonly screen: string | undefined
  readonly keepaliveTime: number
  readonly accessTime: number | undefined
  readonly attributes: Record<string, unknown>
  readonly requestIp: string | undefined
  readonly userAgent: string | undefined
  readonly serverId: string
  readonly createTime = Date.now()
  readonly owner: string
  readonly browser: string | undefined
  readonly topics: readonly Topic[]

  listeners: readonly string[]
  sessionDuration: number
  isAway = false
  lastRequestTime: number | undefined
  messageCount = 0
  requestMessageCount = 0
  requestUploadCount = 0

  constructor({ id, node, caller, handshake, requestIp, userAgent, serverId }: Origin<User>) {
    this.id = id
    this.node = node
    this.user = caller.user
    this.userId = caller.identity.userId
    this.userName = caller.identity.userName
    this.tenantId = caller.identity.tenantId
    this.accessToken = caller.identity.accessToken
    this.owner = caller.identity.owner
    this.channel = handshake.channel
    this.clientId = handshake.clientId
    this.instanceId = handshake.instanceId
    this.clientVersion = handshake.clientVersion
    this.locationHref = handshake.locationHref
    this.screen = handshake.screen
    this.keepaliveTime = handshake.keepaliveTime
    this.accessTime = handshake.accessTime
    this.attributes = handshake.attributes
    this.listeners = handshake.listeners
    this.sessionDuration = handshake.sessionDuration
    this.requestIp = requestIp
    this.userAgent = userAgent
    this.serverId = serverId
    this.browser = this.clientId === undefined ? undefined : digestOf(this.owner, this.clientId)
    this.topics = topicsFor(caller.identity, handshake.channel, handshake.instanceId ?? id)
  }

  toJSON(): ConnectionRecord<User> {
    return recordOf(this)
  }
}

/** Only what belongs into a record. */
export function recordOf<User extends object>(known: ConnectionRecord<User>): ConnectionRecord<User> {
  const { id, node, owner, browser, topics, user, userId, userName, tenantId, accessToken } = known
  const { channel, clientId, instanceId, clientVersion, locationHref, screen, keepaliveTime } = known
  const { accessTime, attributes, requestIp, userAgent, serverId, createTime, listeners } = known
  const { sessionDuration, isAway, lastRequestTime, messageCount } = known
  const { requestMessageCount, requestUploadCount } = known
  return {
    ...{ id, node, owner, browser, topics, user, userId, userName, tenantId, accessToken },
    ...{ channel, clientId, instanceId, clientVersion, locationHref, screen, keepaliveTime },
    ...{ accessTime, attributes, requestIp, userAgent, serverId, createTime, listeners },
    ...{ sessionDuration, isAway, lastRequestTime, messageCount },
    ...{ requestMessageCount, requestUploadCount },
  }
}

/** @param node where it is opened: its id ends with it */
export function createConnectionId(node: string): string {
  // 144 bits: whoever holds the id could not have guessed it.
  return randomBytes(18).toString('base64url') + node
}
