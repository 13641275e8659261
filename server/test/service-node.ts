import { randomUUID } from 'node:crypto'
import type { ConnectionRecord, Peers, ServiceNode, Store } from 'tabwire/server'

/** A connection as a node tells the others of it. */
export function recordOf(node: string, facts: Partial<ConnectionRecord> = {}): ConnectionRecord {
  const nobody = { userId: undefined, userName: undefined, tenantId: undefined, accessToken: undefined }
  const unknown = { channel: undefined, clientId: undefined, instanceId: undefined, clientVersion: undefined }
  const unsaid = { locationHref: undefined, screen: undefined, accessTime: undefined }
  return {
    ...{
      id: randomUUID() + node,
      node,
      owner: 'ann',
      topics: ['all'],
      user: {},
      ...nobody,
      ...unknown,
      ...unsaid,
    },
    ...{ keepaliveTime: 0, attributes: {}, requestIp: undefined, userAgent: undefined, serverId: 's' },
    ...{
      createTime: Date.now(),
      listeners: [],
      sessionDuration: 0,
      isAway: false,
      lastRequestTime: undefined,
    },
    ...{ messageCount: 0, requestMessageCount: 0, requestUploadCount: 0 },
    ...facts,
  }
}

/** Takes part in a service as a node with one connection of these topics. */
export async function joinWith(
  store: Store,
  service: string,
  topics: readonly string[],
  node: ServiceNode,
): Promise<Peers> {
  const peers = store.join(service, node)
  await peers.arrive(recordOf(peers.node, { topics }))
  return peers
}
