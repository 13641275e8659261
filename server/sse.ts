import { Absences } from './absences'
import { Access } from './access'
import { Admin } from './admin'
import { Connections } from './connections'
import { Delivery } from './delivery'
import type { SendOptions } from './draft'
import { Durations } from './durations'
import { Inbox } from './inbox'
import { Lifecycle } from './lifecycle'
import { Listening } from './listening'
import { metricsOf } from './metrics'
import { Notices } from './notices'
import type { OpenConnection } from './open-connection'
import { type Settings, type SseOptions, settle } from './options'
import { Pace } from './pace'
import { LONGEST_DELAY } from './params'
import { Presence } from './presence'
import { Qos, type QosOptions } from './qos'
import { createRouter } from './routes'
import { Sdk } from './sdk'
import type { OneOrMany, QosSenders, SseService } from './service'
import { checkId, many, TOPIC_ALL, type TopicKind, topicsOf } from './topic'
import { Uploads } from './uploads'
import { Watchers } from './watchers'

/**
 * Makes a service: a router that serves the browser client and the streams, and functions to send, ask and act.
 *
 * @example
 * const hr = createSse({ name: 'hr', getUser: (req) => sessionUser(req) })
 * app.use('/sse/hr', hr.router)
 * await hr.sendByUserId(7, 'myHrBell', { count: 100 })
 *
 * @throws TypeError that names the option that is wrong.
 */
export function createSse<User extends object>(options: SseOptions<User>): SseService<User> {
  const parts = createParts(settle(options))
  const { settings, presence } = parts
  const qosSenders = createQosSenders(parts)
  const metrics = () => metricsOf(settings, presence)
  count(parts)
  return {
    name: settings.name,
    router: createRouter({
      ...parts,
      access: new Access(settings),
      admin: new Admin(settings, presence),
      watchers: new Watchers(settings, presence),
      sdk: new Sdk(),
      metrics,
      disconnectUser: (userId) => disconnectAll(parts.connections.of(topicsOf('user', userId))),
    }),
    ...senders(parts),
    qos: () => qosSenders,
    ...questions(parts),
    ...actions(parts),
    ...hearers(parts),
    metrics,
    async close({ within = 0 } = {}) {
      if (!(Number.isInteger(within) && within >= 0 && within <= LONGEST_DELAY)) {
        throw new TypeError(
          `close: within must be a whole number of milliseconds from 0 to ${LONGEST_DELAY}.`,
        )
      }
      parts.uploads.close()
      await parts.lifecycle.close(within)
    },
  }
}

interface Parts<User extends object> {
  readonly settings: Settings<User>
  readonly connections: Connections<User>
  readonly delivery: Delivery<User>
  readonly presence: Presence<User>
  readonly durations: Durations<User>
  readonly lifecycle: Lifecycle<User>
  readonly notices: Notices<User>
  readonly listening: Listening<User>
  readonly uploads: Uploads<User>
  readonly inbox: Inbox
  readonly qos: Qos<User>
}

type Senders = 'sendAll' | 'sendByUserId' | 'sendByTenantId' | 'sendByAccessToken' | 'sendByChannel'
type Hearers = 'onConnect' | 'onDisconnect' | 'onListeningChange'

function createParts<User extends object>(settings: Settings<User>): Parts<User> {
  const connections = new Connections<User>()
  const durations = new Durations(connections, settings)
  const pace = new Pace()
  const qos = new Qos(settings, connections, pace)
  const delivery = new Delivery(connections, settings, qos, pace)
  const absences = new Absences<User>()
  const notices = new Notices(settings, absences)
  return {
    settings,
    connections,
    durations,
    delivery,
    presence: new Presence(connections, absences),
    notices,
    lifecycle: new Lifecycle(settings, connections, durations, delivery, qos, notices),
    listening: new Listening(settings, qos),
    qos,
    uploads: new Uploads(settings),
    inbox: new Inbox(settings),
  }
}

/** Counts who comes and goes, as the application is told. */
function count<User extends object>({ settings, notices }: Parts<User>): void {
  notices.connected.add((_connection, { isReturn }) => settings.counters.connected(isReturn))
  notices.disconnected.add((_connection, reason) => settings.counters.disconnected(reason))
}

// The functions below are async also where nothing waits: what is wrong rejects, and a store on another machine will wait.

function senders<User extends object>({ delivery }: Parts<User>): Pick<SseService<User>, Senders> {
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

function questions<User extends object>({ presence, connections }: Parts<User>) {
  return {
    getUsers: async () => presence.users(),
    getUser: async (id) => presence.users({ userId: checkId(id) })[0],
    getUserIds: async () => presence.userIds(),
    isOnline: async (id) => presence.connections({ userId: checkId(id) }).length > 0,
    getPresence: async (id) => presence.state(id),
    getUsersByListening: async (name) => presence.users({ listening: checkId(name) }),
    getUsersByTenantIdListening: async (tenantId, name) =>
      presence.users({ tenantId: checkId(tenantId), listening: checkId(name) }),
    getTenantIds: async () => presence.tenantIds(),
    getChannels: async () => presence.channels(),
    getAccessTokens: async () => presence.accessTokens(),
    getConnections: async (filter) => presence.connections(filter),
    getConnection: async (id) => connections.get(id),
    getUserCount: async () => presence.users().length,
    getAccessTokenCount: async () => presence.accessTokens().length,
    getConnectionCount: async () => presence.connections().length,
  } satisfies Partial<SseService<User>>
}

function actions<User extends object>({ connections, durations }: Parts<User>) {
  const byIds = (ids: OneOrMany<string>) => many(ids).flatMap((id) => connections.get(id) ?? [])
  return {
    disconnectByUserId: async (ids) => disconnectAll(connections.of(topicsOf('user', ids))),
    disconnectByAccessToken: async (tokens) => disconnectAll(connections.of(topicsOf('token', tokens))),
    disconnectByConnectionId: async (ids) => disconnectAll(new Set(byIds(ids))),
    setDurationByUserId: async (ids, seconds) => durations.set(topicsOf('user', ids), seconds),
    setDurationByAccessToken: async (tokens, seconds) => durations.set(topicsOf('token', tokens), seconds),
    setDurationByConnectionId: async (ids, seconds) => durations.setForConnections(many(ids), seconds),
    clearDurationByUserId: async (ids) => durations.set(topicsOf('user', ids), 0),
    clearDurationByAccessToken: async (tokens) => durations.set(topicsOf('token', tokens), 0),
    clearDurationByConnectionId: async (ids) => durations.setForConnections(many(ids), 0),
  } satisfies Partial<SseService<User>>
}

function hearers<User extends object>({ notices, listening }: Parts<User>): Pick<SseService<User>, Hearers> {
  return {
    onConnect: (fn) => notices.connected.add(fn),
    onDisconnect: (fn) => notices.disconnected.add(fn),
    onListeningChange: (fn) => listening.changed.add(fn),
  }
}

function disconnectAll<User extends object>(connections: Iterable<OpenConnection<User>>): number {
  // A copy: each one leaves the group that we walk through.
  const all = [...connections]
  for (const connection of all) connection.disconnect()
  return all.length
}
