import { PLACE, REST } from './redis-place'
import { SETTLING } from './redis-settling'

/** ms after which what is too old is gone also where nobody writes or reads. */
const MARGIN = 60_000

/**
 * The events of a service. `drafts`, `items` (cmsgpack of time, bytes, cost, first topic): hashes by the number; of an
 * event for several topics also `many` (all of them) and `holders` (how many still hold it). `of:{topic}`: a sorted set
 * of numbers. `topics`: each topic by its last number. `bytes`, `floors`: by topic. `brings:{message}`: numbers.
 * `log` has besides: `first` (none has a lower number), `bytes` of all, `forgotten` (the floor of topics that are gone).
 */
const LOG = `${PLACE}
local log = base .. 'log'
local function forget(seq, cost)
  for _, key in ipairs({ 'items', 'drafts', 'many', 'holders' }) do redis.call('HDEL', base .. key, seq) end
  redis.call('HINCRBY', log, 'bytes', -cost)
end
local function letGo(topic)
  local seq = redis.call('ZPOPMIN', base .. 'of:' .. topic)[1]
  if not seq then return false end
  if redis.call('HSET', base .. 'floors', topic, seq) == 1 then keep(base .. 'floors', maxAge + ${REST}) end
  local item = redis.call('HGET', base .. 'items', seq)
  if item then
    local _, bytes, cost = unpack(cmsgpack.unpack(item))
    redis.call('HINCRBY', base .. 'bytes', topic, -bytes)
    local isOnly = redis.call('HEXISTS', base .. 'holders', seq) == 0
    if isOnly or redis.call('HINCRBY', base .. 'holders', seq, -1) == 0 then forget(seq, cost) end
  end
  return true
end
-- The oldest of all is the oldest of each topic that still holds it.
local function trim()
  for _ = 1, 1000 do
    local is = redis.call('HMGET', log, 'first', 'head', 'bytes')
    local first = is[1]
    if tonumber(first) > tonumber(is[2]) then return end
    local item = redis.call('HGET', base .. 'items', first)
    if item then
      local at, _, cost, topic = unpack(cmsgpack.unpack(item))
      if at >= now - maxAge and tonumber(is[3]) <= maxTotalBytes then return end
      local many = redis.call('HGET', base .. 'many', first)
      for _, topic in ipairs(many and cmsgpack.unpack(many) or { topic }) do
        if redis.call('ZSCORE', base .. 'of:' .. topic, first) then letGo(topic) end
      end
      if redis.call('HEXISTS', base .. 'items', first) == 1 then forget(first, cost) end
    end
    redis.call('HINCRBY', log, 'first', 1)
  end
end
`

export const APPEND = `${LOG}
local epoch = place()
if not epoch then return beginFirst() end
local asker, n, bytes, cost = take(), take(), tonumber(take()), tonumber(take())
local message, draft, topics = take(), take(), rest()
local seq = redis.call('HINCRBY', log, 'head', 1)
redis.call('HSET', base .. 'items', seq, cmsgpack.pack({ now, bytes, cost, topics[1] }))
redis.call('HSET', base .. 'drafts', seq, draft)
redis.call('HINCRBY', log, 'bytes', cost)
if #topics > 1 then
  redis.call('HSET', base .. 'many', seq, cmsgpack.pack(topics))
  redis.call('HSET', base .. 'holders', seq, #topics)
  keep(base .. 'many', maxAge + ${REST})
  keep(base .. 'holders', maxAge + ${REST})
end
if message ~= '' then
  -- It is there with a mark before it: an id may be empty, too.
  redis.call('SADD', base .. 'brings:' .. message, seq)
  redis.call('PEXPIRE', base .. 'brings:' .. message, maxAge + ${MARGIN})
end
for _, topic in ipairs(topics) do
  local of = base .. 'of:' .. topic
  local last = redis.call('ZSCORE', base .. 'topics', topic)
  redis.call('ZADD', base .. 'topics', seq, topic)
  if not last then
    local forgotten = redis.call('HGET', log, 'forgotten')
    while redis.call('ZCARD', base .. 'topics') > maxTopics do
      local old, highest = unpack(redis.call('ZPOPMIN', base .. 'topics'))
      while letGo(old) do end
      forgotten = highest
      redis.call('HSET', log, 'forgotten', highest)
      redis.call('HDEL', base .. 'floors', old)
      redis.call('HDEL', base .. 'bytes', old)
    end
    if forgotten then redis.call('HSET', base .. 'floors', topic, forgotten) end
  end
  redis.call('ZADD', of, seq, seq)
  redis.call('PEXPIRE', of, maxAge + ${MARGIN})
  local count = redis.call('ZCARD', of)
  -- What it held before may have ended by itself.
  if count == 1 then
    redis.call('HSET', base .. 'bytes', topic, 0)
    if last then redis.call('HSET', base .. 'floors', topic, last) end
    keep(base .. 'floors', maxAge + ${REST})
  end
  local held = redis.call('HINCRBY', base .. 'bytes', topic, bytes)
  while count > maxEvents or held > maxBytes do
    if not letGo(topic) then break end
    count = count - 1
    held = tonumber(redis.call('HGET', base .. 'bytes', topic))
  end
end
trim()
-- The beat of each node does it, too.
if seq % 1000 == 1 then
  for _, key in ipairs({ 'log', 'items', 'drafts', 'many', 'holders', 'topics', 'bytes', 'floors' }) do
    keep(base .. key, maxAge + ${REST})
  end
end
local time, told, heard = clock(), {}, 0
-- With how many were said to this node, so that it notices if it does not hear one.
local function sayTo(node)
  local said = redis.call('HINCRBY', base .. 'said', node, 1)
  if said == 1 then keep(base .. 'said', ${REST}) end
  return say(node, table.concat({ 'e', epoch, seq, asker, n, said }, ' ') .. '\\n' .. draft)
end
for _, topic in ipairs(topics) do
  for _, node in ipairs(redis.call('HKEYS', base .. 'follow:' .. topic)) do
    local until_ = not told[node] and redis.call('ZSCORE', base .. 'nodes', node)
    told[node] = true
    if until_ and tonumber(until_) > time and (sayTo(node) > 0 or isCluster) then heard = heard + 1 end
  end
end
return { epoch, seq, heard }
`

export const READ = `${LOG}
local epoch, head = place()
if not epoch then return beginFirst() end
${SETTLING}
trim()
local from, seq, topics = take(), tonumber(take()), rest()
local start = tonumber(redis.call('HGET', log, 'start'))
local function reply(gap, entries) return { epoch, head, start, settled, gap, entries } end
if from == '' then return reply('') end
local stop = from == epoch and head or redis.call('HGET', base .. 'past', from)
if not stop or seq > tonumber(stop) then return reply('epoch') end
local found, seqs = {}, {}
for _, topic in ipairs(topics) do
  local last, of = redis.call('ZSCORE', base .. 'topics', topic), base .. 'of:' .. topic
  local floor = last
  if not last then floor = redis.call('HGET', log, 'forgotten') or 0
  elseif redis.call('EXISTS', of) == 1 then floor = redis.call('HGET', base .. 'floors', topic) or 0 end
  if tonumber(floor) > seq then return reply('floor') end
  for _, found_ in ipairs(redis.call('ZRANGEBYSCORE', of, '(' .. seq, '+inf')) do
    if not found[found_] then seqs[#seqs + 1] = found_ end
    found[found_] = true
  end
end
table.sort(seqs, function(a, b) return tonumber(a) < tonumber(b) end)
local entries = {}
for first = 1, #seqs, 1000 do
  local some = {}
  for n = first, math.min(first + 999, #seqs) do some[#some + 1] = seqs[n] end
  local drafts = redis.call('HMGET', base .. 'drafts', unpack(some))
  for n, seq in ipairs(some) do
    -- One that was taken back has none.
    if drafts[n] then
      entries[#entries + 1] = seq
      entries[#entries + 1] = drafts[n]
    end
  end
end
return reply('', entries)
`
