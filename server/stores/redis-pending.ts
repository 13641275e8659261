import type { PendingMessage, PendingPage } from '../store'
import type { Topic } from '../topic'
import { costOfMessage } from './cost'
import type { Limits } from './limits'
import { type Settle, tooMuchWaits } from './local-store'
import { REST } from './redis-place'
import { listed, onceScript, type Run, type Script, script } from './redis-script'
import { SETTLING, type Settled, tellSettled } from './redis-settling'

const PENDING = `${SETTLING}
local function shown(ids)
  local list = {}
  for n, id in ipairs(ids) do
    local isAsked = cmsgpack.unpack(redis.call('HGET', base .. 'holds', id))[3]
    local missing = isAsked and redis.call('SMEMBERS', base .. 'missing:' .. id) or {}
    list[n] = { redis.call('HGET', base .. 'bodies', id), missing }
  end
  return list
end
`

const HOLD = `${PENDING}
local id, life, bytes, body = take(), tonumber(take()), tonumber(take()), take()
local topics, recipients = some(), rest()
if redis.call('HEXISTS', base .. 'holds', id) == 1 then return { settled, 1 } end
local held = tonumber(redis.call('HGET', sums, 'waitingBytes') or 0)
if redis.call('ZCARD', base .. 'waiting') >= maxPending or held + bytes > maxPendingBytes then
  return { settled, 0 }
end
local order = redis.call('HINCRBY', sums, 'order', 1)
redis.call('HINCRBY', sums, 'waitingBytes', bytes)
redis.call('ZADD', base .. 'waiting', order, id)
redis.call('ZADD', base .. 'ends', now + life, id)
redis.call('HSET', base .. 'bodies', id, body)
redis.call('HSET', base .. 'holds', id, cmsgpack.pack({ bytes, asker, #recipients > 0, topics }))
for _, recipient in ipairs(recipients) do redis.call('SADD', base .. 'missing:' .. id, recipient) end
life = math.max(0, life) + ${REST}
keep(base .. 'missing:' .. id, life)
for _, topic in ipairs(topics) do
  redis.call('ZADD', base .. 'waiting:' .. topic, order, id)
  keep(base .. 'waiting:' .. topic, life)
end
for _, key in ipairs({ 'waiting', 'ends', 'bodies', 'holds', 'counts', 'sums' }) do keep(base .. key, life) end
return { settled, 1 }
`

const ACKNOWLEDGE = onceScript(`${PENDING}
local id, topics = take(), rest()
local held = redis.call('HGET', base .. 'holds', id)
if not held then return { settled } end
local found = 0
for _, topic in ipairs(topics) do found = found + redis.call('SREM', base .. 'missing:' .. id, topic) end
if cmsgpack.unpack(held)[3] and found == 0 then return { settled } end
redis.call('HINCRBY', base .. 'counts', id, math.max(1, found))
keep(base .. 'counts', redis.call('PTTL', base .. 'holds'))
if redis.call('EXISTS', base .. 'missing:' .. id) == 0 then finish(id, false) end
return { settled }
`)

const CANCEL = onceScript(`${PENDING}
return { settled, finish(take(), true) and 1 or 0 }
`)

const OF = script(`${PENDING}
local found, ids = {}, {}
for _, topic in ipairs(rest()) do
  local list = redis.call('ZRANGE', base .. 'waiting:' .. topic, 0, -1, 'WITHSCORES')
  for n = 1, #list, 2 do
    if not found[list[n]] then ids[#ids + 1] = list[n] end
    found[list[n]] = tonumber(list[n + 1])
  end
end
table.sort(ids, function(a, b) return found[a] < found[b] end)
return { settled, shown(ids) }
`)

const PAGE = script(`${PENDING}
local offset, limit = tonumber(take()), tonumber(take())
local ids = limit > 0 and redis.call('ZRANGE', base .. 'waiting', offset, offset + limit - 1) or {}
return { settled, shown(ids), redis.call('ZCARD', base .. 'waiting') }
`)

type Shown = [body: string, missing: Topic[]]

export interface RedisPending {
  hold(message: PendingMessage): Promise<void>
  of(topics: readonly Topic[]): Promise<PendingMessage[]>
  page(offset: number, limit: number): Promise<PendingPage>
  acknowledge(message: string, topics: readonly Topic[]): Promise<void>
  cancel(message: string): Promise<boolean>
}

export function redisPending(limits: Limits): (run: Run, asker: string, settle: Settle) => RedisPending {
  const hold = script(HOLD, { ...limits })
  return (run, asker, settle) => {
    const ask = async <Rest extends unknown[]>(
      script: Script,
      ...args: Parameters<Run> extends [Script, ...infer Args] ? Args : never
    ): Promise<Rest> => {
      const [settled, ...rest] = (await run(script, asker, ...args)) as [Settled, ...Rest]
      tellSettled(settled, settle)
      return rest as unknown as Rest
    }
    return {
      async hold(message) {
        const { message: id, expiryTime, topics, recipients } = message
        const body = JSON.stringify(message)
        const audience = [...listed(topics), ...recipients]
        const sizes = [expiryTime - Date.now(), costOfMessage(message)]
        const [isHeld] = await ask<[number]>(hold, id, ...sizes, body, ...audience)
        if (isHeld === 0) throw tooMuchWaits()
      },
      async of(topics) {
        const [list] = await ask<[Shown[]]>(OF, ...topics)
        return list.map(asItIs)
      },
      async page(offset, limit) {
        const [list, total] = await ask<[Shown[], number]>(PAGE, offset, limit)
        return { list: list.map(asItIs), total }
      },
      acknowledge: async (id, topics) => void (await ask(ACKNOWLEDGE, id, ...topics)),
      async cancel(id) {
        const [isEnded] = await ask<[number]>(CANCEL, id)
        return isEnded === 1
      },
    }
  }
}

/** With those of its recipients who have yet to acknowledge. */
function asItIs([body, missing]: Shown): PendingMessage {
  const message: PendingMessage = JSON.parse(body)
  const left = new Set(missing)
  const recipients = [...new Set(message.recipients)].filter((topic) => left.has(topic))
  return recipients.length === message.recipients.length ? message : { ...message, recipients }
}
