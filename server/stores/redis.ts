import type { Store } from '../store'
import { type StoreOptions, settleLimits } from './limits'
import { redisAnswers } from './redis-answers'
import { redisDurations } from './redis-durations'
import { type RedisClient, RedisLink } from './redis-link'
import { redisLogs } from './redis-log'
import { redisPending } from './redis-pending'
import { RedisService } from './redis-service'

/** Options of `redisStore`. All processes of a service need the same. What limits all services together limits each here. */
export interface RedisStoreOptions extends StoreOptions {
  /** What all keys and channels begin with; without `{` and `}`. Default `'tabwire:'`. */
  prefix?: string | undefined
  /**
   * ms that a call waits for Redis when it is away; then it rejects with a `StoreUnavailableError`. At most 2³¹−1.
   * Default 5000.
   */
  patience?: number | undefined
  /**
   * ms that a send waits for the nodes to say to how many connections they wrote it, and any question for the node that
   * it is for. Only a node that dies in that moment, or hangs, uses it up. Default 1000.
   */
  countTimeout?: number | undefined
  /** ms after which a node that gives no sign of life counts as dead, and its connections as lost. Default 6000. */
  nodeTimeout?: number | undefined
}

/** What `redisStore` returns. */
export interface RedisStore extends Store {
  /**
   * Ends the connections to Redis. Call it when the services of the store have ended: after `await hr.close()`. Every
   * later call fails.
   */
  close(): void
}

const TIMES = { patience: 5000, countTimeout: 1000, nodeTimeout: 6000 }
const LONGEST = 2 ** 31 - 1

/**
 * Keeps everything in Redis (6.2 or later, or Valkey), for as many processes as there are: each hears of what is sent to
 * the users that it has, and each finds the connections of all. Needs the package `ioredis`.
 * @param target Where Redis is, e.g. `redis://localhost:6379`; or a client of ioredis, also for a cluster or sentinels,
 *   of which two connections like it are made. It stays as it is, and is not closed.
 * @throws TypeError that names the option that is wrong.
 */
export function redisStore(target: string | RedisClient, options: RedisStoreOptions = {}): RedisStore {
  const { prefix = 'tabwire:', ...others } = options
  const limits = settleLimits('redisStore', others)
  const { patience, ...times } = settleTimes(others)
  if (typeof prefix !== 'string' || /[{}]/.test(prefix))
    throw new TypeError('redisStore: the option prefix must be a text without { and }.')
  if (typeof target !== 'string' && typeof target?.duplicate !== 'function')
    throw new TypeError('redisStore: the first argument must be an address of Redis, or a client of ioredis.')
  const link = new RedisLink(target, patience)
  const makers = {
    log: redisLogs(limits, link.isCluster),
    pending: redisPending(limits),
    answers: redisAnswers(limits),
    durations: redisDurations(limits.maxDurations),
  }
  const services = new Map<string, RedisService>()
  const of = (name: string): RedisService => {
    // In braces: in a cluster, all keys of a service are on one node.
    const found = services.get(name) ?? new RedisService(link, `${prefix}{${name}}:`, makers, times)
    services.set(name, found)
    return found
  }
  return {
    isShared: true,
    append: (service, draft) => of(service).append(draft),
    join: (service, node) => of(service).join(node),
    async read(service, topics, after) {
      const { start, ...history } = await of(service).read(topics, after)
      return history
    },
    hold: (service, message) => of(service).hold(message),
    pending: (service, topics) => of(service).pending.of(topics),
    pendingPage: (service, offset, limit) => of(service).pending.page(offset, limit),
    acknowledge: (service, message, topics) => of(service).pending.acknowledge(message, topics),
    cancel: (service, message) => of(service).pending.cancel(message),
    setDuration: (service, topic, seconds) => of(service).durations.set(topic, seconds),
    takeDuration: (service, topics) => of(service).durations.take(topics),
    claim: (service, key, claim, lease) => of(service).answers.claim(key, claim, lease),
    remember: (service, key, claim, answer) => of(service).answers.remember(key, claim, answer),
    release: (service, key, claim) => of(service).answers.release(key, claim),
    close() {
      for (const service of services.values()) service.close()
      link.close()
    },
  }
}

function settleTimes(options: RedisStoreOptions): typeof TIMES {
  const settled = { ...TIMES }
  for (const name of Object.keys(TIMES) as (keyof typeof TIMES)[]) {
    const value = options[name] ?? TIMES[name]
    if (!(Number.isInteger(value) && value >= 1 && value <= LONGEST))
      throw new TypeError(
        `redisStore: the option ${name} must be a whole number of milliseconds of at least 1.`,
      )
    settled[name] = value
  }
  return settled
}
