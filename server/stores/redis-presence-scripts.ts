import { HIDDEN_TIME } from './memory-absences'
import { REST } from './redis-place'
import { onceScript, script } from './redis-script'

/** What a script answers a node that is not there, or was taken for dead. */
export const ENLIST_FIRST = 'ENLIST'

/** ms that a connection that has left is still found: as long as requests of it are taken. */
export const DEPARTED_LIFE = 10_000
/** ms more than its grace that one that may come back is kept: the node that waits for it takes it then. */
const ENDED_MARGIN = 10_000
/** ms for which a coming may be held up on its way, and overtaken by the leaving. */
const LEFT_LIFE = 60_000
/** ms that a user counts as lost. */
const LOST_LIFE = 24 * 60 * 60 * 1000
/** ms that who follows a topic, and who is at it, is known without being told again. */
export const TOPIC_LIFE = 24 * 60 * 60 * 1000

/**
 * `nodes`: a sorted set by the time until which each counts as alive; `enlisted`: the change by which each has enlisted;
 * `said`: how many events were said to each.
 * Of each node `conns:{node}` (records by the id of the connection) and `marks:{node}` (cmsgpack of owner, browser,
 * instance, topics), hashes. `follow:{topic}`: a hash of the nodes that have connections with it, each with the number of
 * its last change. `at:{topic}`: a hash of their ids, with the node of each; not of `all` and of instances; a browser has
 * one too. `owners`: how many connections each has. `moved:{id}`: the node where it is, if its id names another.
 * Of those that have left: `ended:{browser}`, who may come back (cmsgpack of time, instance, record); `taken:{id}`, the
 * node to which its page came back; `departed:{id}`, a record; `left:{node}:{id}`, the change by which it left: what has
 * a lower number comes too late; `gone:{user}`, the id of the last to leave, and how.
 */
export const PRESENCE = `
local function isListed(topic) return topic ~= 'all' and string.sub(topic, 1, 9) ~= 'instance:' end
local function placeOf(browser) return base .. 'at:browser:' .. browser end
local function isAlive(node)
  local until_ = redis.call('ZSCORE', base .. 'nodes', node)
  return until_ and tonumber(until_) > clock()
end
local function follow(node, topic, change)
  redis.call('HSET', base .. 'follow:' .. topic, node, change)
  redis.call('PEXPIRE', base .. 'follow:' .. topic, ${TOPIC_LIFE})
end
local function isLate(node, change)
  local since = redis.call('HGET', base .. 'enlisted', node)
  return since and tonumber(since) >= change
end
local function enlistFirst() return redis.error_reply('${ENLIST_FIRST} this node first') end
-- One that continues on another node has the same id there.
local function erase(key, id, node)
  if redis.call('HGET', key, id) == node then redis.call('HDEL', key, id) end
end
-- Its page is back, at this node: nobody else is to say that it has gone, when its grace is over.
local function markTaken(id, node, grace)
  redis.call('SET', base .. 'taken:' .. id, node, 'PX', grace + ${LEFT_LIFE})
end
local function unmark(node, id)
  local packed = redis.call('HGET', base .. 'marks:' .. node, id)
  if not packed then return end
  local record = redis.call('HGET', base .. 'conns:' .. node, id)
  redis.call('HDEL', base .. 'marks:' .. node, id)
  redis.call('HDEL', base .. 'conns:' .. node, id)
  local mark = cmsgpack.unpack(packed)
  local owner, browser, instance, topics = unpack(mark)
  for _, topic in ipairs(topics) do
    if isListed(topic) then erase(base .. 'at:' .. topic, id, node) end
  end
  if browser ~= '' then erase(placeOf(browser), id, node) end
  if redis.call('HINCRBY', base .. 'owners', owner, -1) <= 0 then redis.call('HDEL', base .. 'owners', owner) end
  return record, browser, instance, topics
end
local function keepEnded(browser, id, instance, record, grace)
  local ended = base .. 'ended:' .. browser
  redis.call('HSET', ended, id, cmsgpack.pack({ now, instance, record }))
  keep(ended, grace + ${ENDED_MARGIN})
end
local function setAbsence(user, id, absence)
  local life = absence == 'hidden' and ${HIDDEN_TIME} or ${LOST_LIFE}
  if absence == 'gone' then redis.call('DEL', base .. 'gone:' .. user)
  else redis.call('SET', base .. 'gone:' .. user, id .. ' ' .. absence, 'PX', life) end
end
`

export const ARRIVE = script(`${PRESENCE}
local node, id, record, owner, browser, instance = take(), take(), take(), take(), take(), take()
local grace, change, topics = tonumber(take()), tonumber(take()), rest()
if not isAlive(node) then return enlistFirst() end
-- Held up on its way, and overtaken by what came after it.
local left = redis.call('GET', base .. 'left:' .. node .. ':' .. id)
if isLate(node, change) or (left and tonumber(left) > change) then return { {}, 0 } end
for _, topic in ipairs(topics) do follow(node, topic, change) end
local others = {}
if browser ~= '' then
  local all = redis.call('HGETALL', placeOf(browser))
  for n = 1, #all, 2 do
    local other = all[n + 1] ~= node and isAlive(all[n + 1]) and redis.call('HGET', base .. 'conns:' .. all[n + 1], all[n])
    if other then
      others[#others + 1] = other
      local mark = redis.call('HGET', base .. 'marks:' .. all[n + 1], all[n])
      if mark and instance ~= '' and cmsgpack.unpack(mark)[3] == instance then markTaken(all[n], node, grace) end
    end
  end
  if redis.call('HDEL', base .. 'ended:' .. browser, id) == 1 then markTaken(id, node, grace) end
  redis.call('HSET', placeOf(browser), id, node)
  redis.call('PEXPIRE', placeOf(browser), ${TOPIC_LIFE})
end
for _, topic in ipairs(topics) do
  if isListed(topic) then
    redis.call('HSET', base .. 'at:' .. topic, id, node)
    redis.call('PEXPIRE', base .. 'at:' .. topic, ${TOPIC_LIFE})
  end
end
-- One that was opened on another node, and continues here.
if string.sub(id, -#node) == node then redis.call('DEL', base .. 'moved:' .. id)
else redis.call('SET', base .. 'moved:' .. id, node, 'PX', ${TOPIC_LIFE}) end
redis.call('HSET', base .. 'conns:' .. node, id, record)
if redis.call('HSET', base .. 'marks:' .. node, id, cmsgpack.pack({ owner, browser, instance, topics })) == 1 then
  redis.call('HINCRBY', base .. 'owners', owner, 1)
end
for _, key in ipairs({ 'conns:' .. node, 'marks:' .. node, 'owners' }) do keep(base .. key, ${REST}) end
return { others, redis.call('EXISTS', base .. 'ended:' .. browser) }
`)

export const CHANGE = script(`
local node, id, record = take(), take(), take()
if redis.call('HEXISTS', base .. 'conns:' .. node, id) == 1 then
  redis.call('HSET', base .. 'conns:' .. node, id, record)
end
return {}
`)

export const LEAVE = script(`${PRESENCE}
local node, id, record, absence, grace, user = take(), take(), take(), take(), tonumber(take()), take()
local change, mayStillSend = tonumber(take()), take()
local browser, instance = take(), take()
for _, topic in ipairs(rest()) do
  -- What was followed again since stays followed, though this comes late.
  local last = redis.call('HGET', base .. 'follow:' .. topic, node)
  if last and tonumber(last) < change then redis.call('HDEL', base .. 'follow:' .. topic, node) end
end
redis.call('SET', base .. 'left:' .. node .. ':' .. id, change, 'PX', ${LEFT_LIFE})
unmark(node, id)
if redis.call('GET', base .. 'moved:' .. id) == node then redis.call('DEL', base .. 'moved:' .. id) end
if mayStillSend == '1' then redis.call('SET', base .. 'departed:' .. id, record, 'PX', ${DEPARTED_LIFE}) end
if grace > 0 and browser ~= '' then keepEnded(browser, id, instance, record, grace) end
if absence ~= '' and user ~= '' then setAbsence(user, id, absence) end
return {}
`)

export const EXPLAIN = script(`${PRESENCE}
local user, id, absence = take(), take(), take()
local last = redis.call('GET', base .. 'gone:' .. user)
if last and string.sub(last, 1, #id) == id then setAbsence(user, id, absence) end
return {}
`)

export const TAKE_ENDED = onceScript(`${PRESENCE}
local node, ended, instance, grace = take(), base .. 'ended:' .. take(), take(), tonumber(take())
local found, best
local all = redis.call('HGETALL', ended)
for n = 1, #all, 2 do
  local at, from, record = unpack(cmsgpack.unpack(all[n + 1]))
  local rank = { instance ~= '' and from == instance and 0 or 1, at }
  if not best or rank[1] < best[1] or (rank[1] == best[1] and rank[2] < best[2]) then
    best, found = rank, { all[n], record }
  end
end
if not found then return {} end
redis.call('HDEL', ended, found[1])
markTaken(found[1], node, grace)
return { found[2] }
`)

export const IS_TAKEN = script(`
local node, browser, id = take(), take(), take()
redis.call('HDEL', base .. 'ended:' .. browser, id)
local by = redis.call('GET', base .. 'taken:' .. id)
return { by and by ~= node and 1 or 0 }
`)

export const LIST = script(`${PRESENCE}
local self, topic, list = take(), take(), {}
if topic == '' then
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', base .. 'nodes', '(' .. clock(), '+inf')) do
    if node ~= self then
      for _, record in ipairs(redis.call('HVALS', base .. 'conns:' .. node)) do list[#list + 1] = record end
    end
  end
  return list
end
local all, alive = redis.call('HGETALL', base .. 'at:' .. topic), {}
for n = 1, #all, 2 do
  local id, node = all[n], all[n + 1]
  if alive[node] == nil then alive[node] = node ~= self and isAlive(node) or false end
  local record = alive[node] and redis.call('HGET', base .. 'conns:' .. node, id)
  if record then list[#list + 1] = record end
end
return list
`)

export const FIND = script(`
local node, id, mayHaveLeft = take(), take(), take()
node = redis.call('GET', base .. 'moved:' .. id) or node
local record = redis.call('HGET', base .. 'conns:' .. node, id)
if not record and mayHaveLeft == '1' then record = redis.call('GET', base .. 'departed:' .. id) end
return { record or nil }
`)

export const COUNT = script(`
local connections = 0
for _, node in ipairs(redis.call('ZRANGEBYSCORE', base .. 'nodes', '(' .. clock(), '+inf')) do
  connections = connections + redis.call('HLEN', base .. 'conns:' .. node)
end
return { connections, redis.call('HLEN', base .. 'owners') }
`)

export const ABSENCE = script(`return { redis.call('GET', base .. 'gone:' .. take()) or nil }`)
