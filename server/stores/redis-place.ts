import { script } from './redis-script'

/** What a script answers if the log is not there, or Redis has been started anew: `BEGIN` is to be run, and it again. */
export const BEGIN_FIRST = 'BEGIN'

/** ms that the keys of a service outlive its last use, at least. */
export const REST = 2 * 24 * 60 * 60 * 1000

/**
 * `log`: a hash with the epoch, the highest number (`head`), where all began anew the last time (`start`), and the Redis
 * process that has written it (`run`).
 * The process is asked who it is each time: after a restart it may have forgotten the last moments, and only those who
 * remember them can tell.
 */
export const PLACE = `
local function run() return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') end
local function place()
  local place = redis.call('HMGET', base .. 'log', 'epoch', 'head', 'run')
  if place[1] and place[3] == run() then return place[1], tonumber(place[2]) end
end
local function beginFirst() return redis.error_reply('${BEGIN_FIRST} the log first') end
`

/**
 * Begins the log, or goes on with it. Takes the epoch that it may begin, and where the caller has been last (epoch and
 * number). After a restart that forgot nothing the log goes on under another epoch; `past` knows where the ones before
 * ended, and who is there in one of them goes on. Who has been further than it ended is the proof that something was
 * forgotten: then all begin anew.
 */
export const BEGIN = script(`${PLACE}
local epoch, seenIn, seen = take(), take(), tonumber(take())
local log, past = base .. 'log', base .. 'past'
local is = redis.call('HMGET', log, 'epoch', 'head', 'run')
if not is[1] then
  redis.call('DEL', past)
  redis.call('HSET', log, 'epoch', epoch, 'head', 0, 'start', 0, 'first', 1, 'bytes', 0, 'run', run())
elseif is[3] ~= run() then
  redis.call('HSET', past, is[1], is[2])
  redis.call('HSET', log, 'epoch', epoch, 'run', run())
end
local now = redis.call('HMGET', log, 'epoch', 'head')
local stop = redis.call('HGET', past, seenIn) or (seenIn == now[1] and now[2])
if stop and seen > tonumber(stop) then
  redis.call('DEL', past)
  local start = math.max(seen, tonumber(now[2]))
  redis.call('HSET', log, 'epoch', epoch, 'head', start, 'start', start)
  for _, node in ipairs(redis.call('ZRANGE', base .. 'nodes', 0, -1)) do say(node, 'w') end
end
keep(log, ${REST})
keep(past, ${REST})
return redis.call('HMGET', log, 'epoch', 'head')
`)
