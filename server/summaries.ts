import type { OnlineConnection, PendingSummary } from '../client/protocol'
import type { ConnectionRecord } from './connection'
import { amountIn } from './params'
import type { PendingMessage } from './store'
import type { Topic, TopicKind } from './topic'

/** Characters of an event's data that operators see. */
const SHOWN_DATA = 1000

export function withoutToken<User extends object>(user: User): Omit<User, 'accessToken'> {
  return { ...user, accessToken: undefined }
}

/**
 * What operators see of a connection: never a token, a cookie, a header or the application's own parameters, which are
 * secrets. So it names what it takes, here and in the names of the original.
 */
export function connectionSummary<User extends object>(connection: ConnectionRecord<User>): OnlineConnection {
  const { id, userId, userName, tenantId, channel, clientId, instanceId, clientVersion } = connection
  const { locationHref, screen, accessTime, requestIp, userAgent, serverId, createTime } = connection
  const { sessionDuration, lastRequestTime, messageCount, requestMessageCount } = connection
  const { requestUploadCount, listeners, isAway } = connection
  return {
    ...{ id, userId, userName, tenantId, channel, clientId, instanceId, clientVersion },
    ...{ locationHref, screen, accessTime, requestIp, userAgent, serverId, createTime },
    ...{ sessionDuration, lastRequestTime, messageCount, requestMessageCount },
    ...{ requestUploadCount, listeners: [...listeners], isAway },
    ...namesOfOriginal(connection),
  }
}

/** As the original calls what has another name here. */
function namesOfOriginal<User extends object>(connection: ConnectionRecord<User>) {
  const { user, userId, tenantId, instanceId, keepaliveTime, attributes } = connection
  return {
    accessUser: withoutToken(user),
    accessUserId: userId,
    accessTenantId: tenantId,
    clientInstanceId: instanceId,
    clientInstanceTime: amountIn(attributes, 'clientInstanceTime'),
    clientImportModuleTime: amountIn(attributes, 'clientImportModuleTime'),
    timeout: keepaliveTime,
  }
}

/** What operators see of a message that waits. Access tokens are secrets: their topics are only counted. */
export function messageSummary(pending: PendingMessage): PendingSummary {
  const { message: id, name, data, topics, listening, recipients, createTime, expiryTime } = pending
  return {
    id,
    eventName: name,
    data: data.slice(0, SHOWN_DATA),
    dataLength: data.length,
    isForAll: topics.includes('all'),
    userIdList: idsOf(topics, 'user'),
    tenantIdList: idsOf(topics, 'tenant'),
    channelList: idsOf(topics, 'channel'),
    accessTokenCount: idsOf(topics, 'token').length,
    ...(listening ? { listenerName: name } : {}),
    ...{ createTime, expiryTime },
    recipientUserIdList: idsOf(recipients, 'user'),
    recipientAccessTokenCount: idsOf(recipients, 'token').length,
  }
}

function idsOf(topics: readonly Topic[], kind: TopicKind): string[] {
  const prefix = `${kind}:`
  return topics.filter((topic) => topic.startsWith(prefix)).map((topic) => topic.slice(prefix.length))
}
