import { REST } from './redis-place'

/**
 * What waits, by the id of the message: `waiting` (a sorted set, in the order in which they came), `ends` (by the time of
 * their expiry), `bodies`, `counts` (of acknowledgements) and `holds` (cmsgpack of bytes, holder, whether recipients are
 * asked for, topics): hashes. `waiting:{topic}`: as `waiting`. `missing:{id}`: who has yet to acknowledge.
 * `sums`: a hash with `order` and `waitingBytes`.
 * Takes the asker, and ends what is over. What waits no more is told to the store that held it: in the reply, if that is
 * who asks, else it is said; and as neither may arrive, it stands in `told:{holder}` till the holder's beat confirms it.
 */
export const SETTLING = `
-- Nobody gets what brings this one any more.
local function retract(message)
  local brings = base .. 'brings:m' .. message
  for _, seq in ipairs(redis.call('SMEMBERS', brings)) do redis.call('HDEL', base .. 'drafts', seq) end
  redis.call('DEL', brings)
end
local sums = base .. 'sums'
local asker, settled = take(), {}
local function finish(id, isTakenBack)
  local held = redis.call('HGET', base .. 'holds', id)
  if not held then return false end
  local bytes, holder, _, topics = unpack(cmsgpack.unpack(held))
  if isTakenBack then retract(id) end
  local count = redis.call('HGET', base .. 'counts', id) or 0
  for _, key in ipairs({ 'waiting', 'ends' }) do redis.call('ZREM', base .. key, id) end
  for _, key in ipairs({ 'bodies', 'counts', 'holds' }) do redis.call('HDEL', base .. key, id) end
  for _, topic in ipairs(topics) do redis.call('ZREM', base .. 'waiting:' .. topic, id) end
  redis.call('DEL', base .. 'missing:' .. id)
  redis.call('HINCRBY', sums, 'waitingBytes', -bytes)
  redis.call('HSET', base .. 'told:' .. holder, id, count)
  redis.call('PEXPIRE', base .. 'told:' .. holder, ${REST})
  if holder == asker then
    settled[#settled + 1] = id
    settled[#settled + 1] = tonumber(count)
  else
    say(holder, 's ' .. count .. ' ' .. id)
  end
  return true
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. 'ends', '-inf', now, 'LIMIT', 0, 1000)) do finish(id, true) end
`

/** What a script says to have settled: ids and counts in turn. */
export type Settled = readonly (string | number)[]

export function tellSettled(settled: Settled, settle: (message: string, count: number) => void): void {
  for (let at = 0; at < settled.length; at += 2) settle(String(settled[at]), Number(settled[at + 1]))
}
