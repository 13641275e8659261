/** A Redis for the demo, which keeps nothing. A process of its own, so that Redis ends also when all else is killed. */
import { startRedis } from '../../scripts/redis-server.mjs'
import { onEnd, tellReady } from './lifeline.mjs'

try {
  const redis = await startRedis()
  onEnd(() => redis.close())
  tellReady({ at: redis.url, pid: redis.pid })
} catch (error) {
  console.error(`${error.message} Or: REDIS_URL=redis://your-redis:6379 npm run start:cluster`)
  process.exit(1)
}
