import { PLACE, REST } from './redis-place'
import { DEPARTED_LIFE, PRESENCE, TOPIC_LIFE } from './redis-presence-scripts'
import { onceScript, script } from './redis-script'

/** Connections of a dead node that one beat of another clears away. */
const SWEPT_AT_ONCE = 500

const NODE = `${PRESENCE}
local function saidTo(node) return tonumber(redis.call('HGET', base .. 'said', node) or 0) end
local function echo(node, n) say(node, 'b ' .. n .. ' ' .. saidTo(node)) end
local function forget(node)
  redis.call('ZREM', base .. 'nodes', node)
  for _, key in ipairs({ 'enlisted', 'said' }) do redis.call('HDEL', base .. key, node) end
end
`

/** Takes the connections of a node away, some at once; answers 0 if there are more. */
const CLEAR = `
local function clear(node)
  for n, id in ipairs(redis.call('HKEYS', base .. 'marks:' .. node)) do
    if n > ${SWEPT_AT_ONCE} then return 0 end
    local _, _, _, topics = unmark(node, id)
    for _, topic in ipairs(topics) do redis.call('HDEL', base .. 'follow:' .. topic, node) end
  end
  return 1
end
`

export const ENLIST = script(`${PLACE}${NODE}${CLEAR}
local node, life, change = take(), tonumber(take()), tonumber(take())
local epoch, head = place()
if not epoch then return beginFirst() end
local reply = { epoch, head, saidTo(node) }
if isLate(node, change) then return reply end
-- What is left of it from before.
if clear(node) == 0 then return {} end
redis.call('ZADD', base .. 'nodes', clock() + life, node)
redis.call('HSET', base .. 'enlisted', node, change)
keep(base .. 'nodes', ${REST})
keep(base .. 'enlisted', ${REST})
return reply
`)

export const FOLLOW = script(`${PRESENCE}
local node, change = take(), take()
for _, topic in ipairs(rest()) do follow(node, topic, change) end
return {}
`)

export const RESIGN = script(`${NODE}${CLEAR}
local node = take()
if clear(node) == 0 then return { 0 } end
forget(node)
return { 1 }
`)

/**
 * Clears away what is left of nodes that died `late` ms ago. `grace`: ms that their pages have to come back. `confirmed`:
 * the messages that the beat before said to have settled.
 */
export const BEAT = onceScript(`${PLACE}${NODE}
local node, asker, life = take(), take(), tonumber(take())
local late, grace, confirmed, topics = tonumber(take()), tonumber(take()), some(), rest()
local epoch, head = place()
if not epoch then return beginFirst() end
if not isAlive(node) then return enlistFirst() end
local time = clock()
redis.call('ZADD', base .. 'nodes', time + life, node)
for _, topic in ipairs(topics) do
  redis.call('PEXPIRE', base .. 'follow:' .. topic, ${TOPIC_LIFE})
  redis.call('PEXPIRE', base .. 'at:' .. topic, ${TOPIC_LIFE})
end
local keys = { 'log', 'past', 'items', 'drafts', 'many', 'holders', 'topics', 'bytes', 'floors', 'nodes', 'enlisted', 'owners',
  'waiting', 'ends', 'bodies', 'counts', 'holds', 'sums', 'said', 'conns:' .. node, 'marks:' .. node }
for _, key in ipairs(keys) do keep(base .. key, ${REST}) end
local fallen = {}
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', base .. 'nodes', '-inf', time - late)) do
  for _, id in ipairs(redis.call('HKEYS', base .. 'marks:' .. dead)) do
    if #fallen >= ${SWEPT_AT_ONCE} then break end
    local record, browser, instance, topics = unmark(dead, id)
    for _, topic in ipairs(topics) do
      redis.call('HDEL', base .. 'follow:' .. topic, dead)
      if string.sub(topic, 1, 5) == 'user:' then setAbsence(topic, id, 'lost') end
    end
    redis.call('SET', base .. 'departed:' .. id, record, 'PX', ${DEPARTED_LIFE})
    if grace > 0 and browser ~= '' then keepEnded(browser, id, instance, record, grace) end
    fallen[#fallen + 1] = record
  end
  if redis.call('EXISTS', base .. 'marks:' .. dead) == 0 then forget(dead) end
end
for _, id in ipairs(confirmed) do redis.call('HDEL', base .. 'told:' .. asker, id) end
echo(node, 0)
return { epoch, head, fallen, redis.call('HGETALL', base .. 'told:' .. asker) }
`)

/** What was said to a node before this, it has heard when it hears this. */
export const ECHO = script(`${NODE}
echo(take(), take())
return {}
`)
