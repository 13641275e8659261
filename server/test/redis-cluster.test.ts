import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Cluster, Redis } from 'ioredis'
import { createPublisher } from 'tabwire/server'
import { redisStore } from 'tabwire/stores/redis'
import { startRedis } from '../../scripts/redis-server.mjs'
import { ANN, BOB, serve, until } from './helpers'

/** A Redis Cluster of two, each with half of the slots. */
async function startRedisCluster(t: TestContext): Promise<Cluster> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000']
  const servers = [await startRedis({ args }), await startRedis({ args })]
  const clients = servers.map(({ url }) => new Redis(url))
  const [one, two] = clients
  assert.ok(one && two)
  await one.call('CLUSTER', 'ADDSLOTSRANGE', '0', '8191')
  await two.call('CLUSTER', 'ADDSLOTSRANGE', '8192', '16383')
  await one.call('CLUSTER', 'MEET', '127.0.0.1', String(servers[1]?.port))
  const isWell = async (client: Redis) =>
    String(await client.call('CLUSTER', 'INFO')).includes('cluster_state:ok')
  await until(async () => (await isWell(one)) && (await isWell(two)), 'the cluster to be well')
  for (const client of clients) client.disconnect()
  const cluster = new Cluster(servers.map(({ port }) => ({ host: '127.0.0.1', port })))
  t.after(async () => {
    cluster.disconnect()
    for (const server of servers) await server.close()
  })
  return cluster
}

test('services spread over a Redis Cluster, and each works over all its nodes', async (t) => {
  const client = await startRedisCluster(t)
  const stores = Array.from({ length: 3 }, () => redisStore(client, { countTimeout: 2000 }))
  const [first, second, third] = stores
  assert.ok(first && second && third)
  const run = async (name: string): Promise<void> => {
    const [a, b] = [await serve(t, { name, store: first }), await serve(t, { name, store: second })]
    const publisher = createPublisher({ name, store: third })
    const [ann, bob] = [await a.connect(ANN, 'listeners=contract'), await b.connect(BOB)]
    assert.equal(await publisher.sendByTenantId(3, 'n', name), 2)
    assert.deepEqual([await ann.next('n'), await bob.next('n')], [name, name])
    assert.equal(await b.sse.qos().sendByUserId(1, 'contract', 1), 1)
    assert.deepEqual([await a.sse.isOnline(2), await publisher.getConnectionCount()], [true, 2])
    assert.equal(await a.sse.disconnectByUserId(2), 1)
    assert.match(await bob.next('connect-close'), /server-close/)
    await Promise.all([a.sse.close(), b.sse.close(), publisher.close()])
  }
  const names = ['hr', 'shop', 'news', 'chat']
  for (const name of names) await run(name)
  const slots = await Promise.all(names.map((name) => client.cluster('KEYSLOT', `tabwire:{${name}}:log`)))
  const halves = new Set(slots.map((slot) => Number(slot) > 8191))
  assert.equal(halves.size, 2, 'not all of them are on one')
  for (const store of stores) store.close()
})

test('over a Redis Cluster comes also what is sent while the line that listens is broken', async (t) => {
  const client = await startRedisCluster(t)
  const [store, other] = [redisStore(client), redisStore(client)]
  const a = await serve(t, { store })
  const publisher = createPublisher({ name: 'hr', store: other })
  const ann = await a.connect(ANN)
  const sent: number[] = []
  for (let round = 0; round < 10; round++) {
    for (const node of client.nodes('master')) await node.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    for (let n = 0; n < 3; n++) {
      await publisher.sendByUserId(1, 'n', sent.length)
      sent.push(sent.length)
    }
    await until(() => ann.events.filter(({ name }) => name === 'n').length === sent.length, 'all to come')
  }
  const shown = ann.events.filter(({ name }) => name === 'n').map(({ data }) => Number(data))
  assert.deepEqual(shown, sent)
  await Promise.all([a.sse.close(), publisher.close()])
  for (const one of [store, other]) one.close()
})
