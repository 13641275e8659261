import type { SendOptions } from './draft'
import { checkSeconds } from './durations'
import type { Parts } from './parts'
import type { QosOptions } from './qos'
import type { OneOrMany, Publisher, QosSenders } from './service'
import { checkId, many, TOPIC_ALL, type Topic, type TopicKind, topicsOf } from './topic'

type Senders = 'sendAll' | 'sendByUserId' | 'sendByTenantId' | 'sendByAccessToken' | 'sendByChannel'

/** What any process may do with a service: send, ask, act. */
export function publisherOf<User extends object>(parts: Parts<User>): Omit<Publisher<User>, 'close'> {
  const qosSenders = createQosSenders(parts)
  return {
    name: parts.settings.name,
    ...senders(parts),
    qos: () => qosSenders,
    ...questions(parts),
    ...actions(parts),
  }
}

// The functions below are async also where nothing waits: what is wrong rejects, and a store on another machine will wait.

function senders<User extends object>({ delivery }: Parts<User>): Pick<Publisher<User>, Senders> {
  const sendBy =
    (kind: TopicKind) => async (ids: OneOrMany, name: string, data?: unknown, options?: SendOptions) =>
      delivery.send(topicsOf(kind, ids), name, data, options)
  return {
    sendAll: async (name, data, options) => delivery.send([TOPIC_ALL], name, data, options),
    sendByUserId: sendBy('user'),
    sendByTenantId: sendBy('tenant'),
    sendByAccessToken: sendBy('token'),
    sendByChannel: sendBy('channel'),
  }
}

function createQosSenders<User extends object>({ qos }: Parts<User>): QosSenders {
  const sendBy = (kind: TopicKind) => (ids: OneOrMany, name: string, data?: unknown, options?: QosOptions) =>
    qos.send(() => topicsOf(kind, ids), name, data, options)
  return {
    sendAll: (name, data, options) => qos.send(() => [TOPIC_ALL], name, data, options),
    sendByUserId: sendBy('user'),
    sendByTenantId: sendBy('tenant'),
    sendByAccessToken: sendBy('token'),
    sendByChannel: sendBy('channel'),
  }
}

function questions<User extends object>({ presence, acts }: Parts<User>) {
  return {
    getUsers: () => presence.users(),
    getUser: async (id) => (await presence.users({ userId: checkId(id) }))[0],
    getUserIds: () => presence.distinct(({ userId }) => userId),
    isOnline: async (id) => (await presence.connections({ userId: checkId(id) })).length > 0,
    getPresence: (id) => presence.state(id),
    getUsersByListening: async (name) => presence.users({ listening: checkId(name) }),
    getUsersByTenantIdListening: async (tenantId, name) =>
      presence.users({ tenantId: checkId(tenantId), listening: checkId(name) }),
    getTenantIds: () => presence.distinct(({ tenantId }) => tenantId),
    getChannels: () => presence.distinct(({ channel }) => channel),
    getAccessTokens: () => presence.distinct(({ accessToken }) => accessToken),
    getConnections: (filter) => presence.connections(filter),
    getConnection: async (id) => acts.findOpen(id),
    getUserCount: async () => (await presence.count()).users,
    getAccessTokenCount: async () => (await presence.distinct(({ accessToken }) => accessToken)).length,
    getConnectionCount: async () => (await presence.count()).connections,
  } satisfies Partial<Publisher<User>>
}

function actions<User extends object>({ acts, durations }: Parts<User>) {
  const end = async (topics: readonly Topic[]) => acts.onTopics(topics, { kind: 'end' })
  const setDuration = (topics: readonly Topic[], seconds: number) =>
    durations.set(topics, seconds, (topic) => acts.onTopics([topic], { kind: 'duration', seconds }))
  const setFor = async (ids: OneOrMany<string>, seconds: number) => {
    checkSeconds(seconds)
    return acts.onIds(many(ids), { kind: 'duration', seconds })
  }
  return {
    disconnectByUserId: async (ids) => end(topicsOf('user', ids)),
    disconnectByAccessToken: async (tokens) => end(topicsOf('token', tokens)),
    disconnectByConnectionId: async (ids) => acts.onIds(many(ids), { kind: 'end' }),
    setDurationByUserId: async (ids, seconds) => setDuration(topicsOf('user', ids), seconds),
    setDurationByAccessToken: async (tokens, seconds) => setDuration(topicsOf('token', tokens), seconds),
    setDurationByConnectionId: setFor,
    clearDurationByUserId: async (ids) => setDuration(topicsOf('user', ids), 0),
    clearDurationByAccessToken: async (tokens) => setDuration(topicsOf('token', tokens), 0),
    clearDurationByConnectionId: (ids) => setFor(ids, 0),
  } satisfies Partial<Publisher<User>>
}
