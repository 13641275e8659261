import type { Topic } from '../topic'
import { onceScript, type Run, script } from './redis-script'

/** ms that a duration waits for its user. */
const LIFE = 30 * 24 * 60 * 60 * 1000

/** `durations`: a hash of seconds by topic; `durationOrder`: a sorted set of the topics, in the order of the last setting. */
const SET = `
local topic, seconds = take(), take()
local durations, order = base .. 'durations', base .. 'durationOrder'
redis.call('HSET', durations, topic, seconds)
redis.call('ZADD', order, redis.call('HINCRBY', base .. 'sums', 'durationOrder', 1), topic)
while redis.call('ZCARD', order) > maxDurations do redis.call('HDEL', durations, redis.call('ZPOPMIN', order)[1]) end
for _, key in ipairs({ 'durations', 'durationOrder', 'sums' }) do keep(base .. key, ${LIFE}) end
return {}
`

const TAKE = onceScript(`
local taken = {}
for _, topic in ipairs(rest()) do
  local seconds = redis.call('HGET', base .. 'durations', topic)
  if seconds then
    taken = { seconds }
    redis.call('HDEL', base .. 'durations', topic)
    redis.call('ZREM', base .. 'durationOrder', topic)
  end
end
return taken
`)

export interface RedisDurations {
  set(topic: Topic, seconds: number): Promise<void>
  take(topics: readonly Topic[]): Promise<number | undefined>
}

export function redisDurations(maxDurations: number): (run: Run) => RedisDurations {
  const set = script(SET, { maxDurations })
  return (run) => ({
    set: async (topic, seconds) => void (await run(set, topic, seconds)),
    async take(topics) {
      const [seconds] = (await run(TAKE, ...topics)) as [string?]
      return seconds === undefined ? undefined : Number(seconds)
    },
  })
}
