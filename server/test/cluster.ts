import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createPublisher, type Publisher, type SseOptions } from 'tabwire/server'
import { type RedisStore, type RedisStoreOptions, redisStore } from 'tabwire/stores/redis'
import { type FaultProxy, startProxy } from '../../e2e/proxy'
import { type RedisServer, startRedis } from '../../scripts/redis-server.mjs'
import { type App, serve, type TestUser } from './helpers'

/** A dead node is noticed soon, and nobody waits for long. */
const TIMES = { patience: 3000, countTimeout: 500, nodeTimeout: 1200 }

type Options = Partial<SseOptions<TestUser>>

/** One node: its HTTP side, and its line to Redis. */
export interface ClusterNode extends App {
  readonly store: RedisStore
}

export interface Cluster {
  readonly redis: RedisServer
  readonly nodes: readonly ClusterNode[]
  readonly publisher: Publisher<TestUser>
  /** What the publisher was told of failures. */
  readonly errors: unknown[]
}

interface Settings {
  /** Redis is told things that outlive it. */
  readonly keeps?: boolean
  readonly store?: RedisStoreOptions
  /** Where the node finds Redis; e.g. over a line that can be cut. */
  readonly url?: (redis: RedisServer, node: number) => Promise<string> | string
  readonly args?: readonly string[]
}

/** So many nodes and a publisher with one Redis of their own; all gone after the test. */
export async function startCluster(
  t: TestContext,
  count: number,
  options: Options | ((node: number) => Options) = {},
  { keeps = false, args = [], store: storeOptions = {}, url = ({ url }) => url }: Settings = {},
): Promise<Cluster> {
  const redis = await startRedis({ keeps, args })
  const createStore = async (node: number) =>
    redisStore(await url(redis, node), { ...TIMES, ...storeOptions })
  const nodes: ClusterNode[] = []
  for (let node = 0; node < count; node++) {
    const store = await createStore(node)
    const own = typeof options === 'function' ? options(node) : options
    nodes.push({ ...(await serve(t, { store, ...own })), store })
  }
  const errors: unknown[] = []
  const store = await createStore(count)
  const publisher = createPublisher<TestUser>({ name: 'hr', store, onError: (error) => errors.push(error) })
  // After the services: they say goodbye to Redis.
  t.after(async () => {
    for (const node of nodes) await node.sse.close()
    await publisher.close()
    for (const one of [...nodes.map(({ store }) => store), store]) one.close()
    await redis.close()
  })
  return { redis, nodes, publisher, errors }
}

/** A cluster in which one process has its own line to Redis, which can be bad. */
export async function startWithLine(t: TestContext, count: number, which: number, store = {}) {
  let line: FaultProxy | undefined
  const cluster = await startCluster(
    t,
    count,
    {},
    {
      store,
      async url(redis, node) {
        if (node !== which) return redis.url
        line = await startProxy(redis.port)
        return `redis://127.0.0.1:${line.port}`
      },
    },
  )
  assert.ok(line)
  const proxy = line
  t.after(() => proxy.close())
  return { ...cluster, line: proxy }
}
