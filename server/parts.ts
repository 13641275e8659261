import { Acts } from './acts'
import type { ConnectionRecord } from './connection'
import { Connections } from './connections'
import { Delivery } from './delivery'
import { Durations } from './durations'
import { Lifecycle } from './lifecycle'
import { Listening } from './listening'
import { Nodes, type Question } from './nodes'
import { lostGrace, Notices } from './notices'
import type { OpenConnection } from './open-connection'
import type { Settings } from './options'
import { Pace } from './pace'
import { Presence } from './presence'
import { Qos } from './qos'

/** What a service is made of, with HTTP or without. */
export interface Parts<User extends object> {
  readonly settings: Settings<User>
  readonly nodes: Nodes<User>
  readonly connections: Connections<OpenConnection<User>>
  readonly delivery: Delivery<User>
  readonly presence: Presence<User>
  readonly durations: Durations<User>
  readonly lifecycle: Lifecycle<User>
  readonly notices: Notices<User>
  readonly listening: Listening<User>
  readonly acts: Acts<User>
  readonly qos: Qos<User>
}

/** @param hasApplication Somebody may want to hear of connections that come and go. */
export function createParts<User extends object>(
  settings: Settings<User>,
  hasApplication = true,
): Parts<User> {
  const { name, store, report } = settings
  const connections = new Connections<OpenConnection<User>>()
  const pace = new Pace()
  const peers = store.join(name, {
    receive: (entry) => delivery.deliver(entry),
    settle: (message, count) => qos.settled(message, count),
    lost(place, reason, topics) {
      lifecycle.lost(place, reason, topics)
      if (topics === undefined) void qos.revive()
    },
    records: () => connections.of(),
    record: (id) => lifecycle.find(id) ?? lifecycle.departed.get(id),
    answer: (question) => acts.answer(question as Question),
    ...(hasApplication && {
      bereaved: (record: ConnectionRecord) => notices.bereaved(nodes.remote(record)),
    }),
    failed: (error) => report(error, 'the store'),
    grace: lostGrace(settings),
  })
  const delivery = new Delivery(connections, settings, pace)
  const send: Delivery<User>['send'] = (...sent) => delivery.send(...sent)
  const nodes = new Nodes(peers, connections, report, send)
  const qos = new Qos(settings, nodes, pace)
  const durations = new Durations(settings)
  const notices = new Notices(settings, peers)
  const lifecycle = new Lifecycle(settings, connections, durations, delivery, qos, notices, nodes)
  const listening = new Listening(settings, qos)
  const acts = new Acts({ settings, connections, lifecycle, listening, nodes, qos })
  const presence = new Presence(connections, nodes)
  return {
    settings,
    nodes,
    connections,
    delivery,
    presence,
    durations,
    lifecycle,
    notices,
    listening,
    acts,
    qos,
  }
}
