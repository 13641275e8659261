import type { Claim, KnownKey } from '../store'
import { costOfAnswer } from './cost'
import type { Limits } from './limits'
import { type Run, script } from './redis-script'

/** ms that what has ended may still be there. */
const MARGIN = 60_000

/**
 * `claim:{key}`: cmsgpack of holder, fingerprint and the end of its lease. Of answers, by key: `answers` and `facts`
 * (cmsgpack of fingerprint, owner, bytes, time), hashes; `answered`, in the order in which they came, and
 * `answered:{owner}`. `sums` has the bytes, `shares` those of each owner.
 */
const ANSWERS = `
local sums = base .. 'sums'
local function forget(key)
  local fact = redis.call('HGET', base .. 'facts', key)
  local _, owner, bytes = unpack(cmsgpack.unpack(fact))
  redis.call('HDEL', base .. 'facts', key)
  redis.call('HDEL', base .. 'answers', key)
  redis.call('ZREM', base .. 'answered', key)
  redis.call('ZREM', base .. 'answered:' .. owner, key)
  redis.call('HINCRBY', sums, 'answerBytes', -bytes)
  if redis.call('HINCRBY', base .. 'shares', owner, -bytes) <= 0 then redis.call('HDEL', base .. 'shares', owner) end
end
local function oldest(list) return redis.call('ZRANGE', base .. list, 0, 0)[1] end
local function trim(owner)
  -- The newest of an owner stays, however large: nobody else's go for it yet.
  while owner do
    local count = redis.call('ZCARD', base .. 'answered:' .. owner)
    local bytes = tonumber(redis.call('HGET', base .. 'shares', owner) or 0)
    if count <= 1 or (count <= maxUserAnswers and bytes <= maxUserAnswerBytes) then break end
    forget(oldest('answered:' .. owner))
  end
  for _ = 1, 1000 do
    local key = oldest('answered')
    if not key then return end
    local at = cmsgpack.unpack(redis.call('HGET', base .. 'facts', key))[4]
    local isFull = redis.call('ZCARD', base .. 'answered') > maxAnswers
      or tonumber(redis.call('HGET', sums, 'answerBytes')) > maxAnswerBytes
    if not isFull and at >= now - answerAge then return end
    forget(key)
  end
end
local key, holder = take(), take()
local claim = base .. 'claim:' .. key
local function known()
  trim()
  local fact = redis.call('HGET', base .. 'facts', key)
  if fact then return { cmsgpack.unpack(fact)[1], redis.call('HGET', base .. 'answers', key) } end
  local held = redis.call('GET', claim)
  if not held then return end
  local by, fingerprint, until_ = unpack(cmsgpack.unpack(held))
  if by ~= holder and until_ > now then return { fingerprint } end
end
`

const CLAIM = `${ANSWERS}
local fingerprint, lease = take(), tonumber(take())
local found = known()
if found then return found end
redis.call('SET', claim, cmsgpack.pack({ holder, fingerprint, now + lease }), 'PX', lease + ${MARGIN})
return {}
`

const REMEMBER = `${ANSWERS}
local fingerprint, owner, bytes, answer = take(), take(), tonumber(take()), take()
local found = known()
if found then return found end
redis.call('DEL', claim)
-- The others must not go for what does not fit either way.
if bytes > maxAnswerBytes then return {} end
local order = redis.call('HINCRBY', sums, 'answerOrder', 1)
redis.call('HSET', base .. 'facts', key, cmsgpack.pack({ fingerprint, owner, bytes, now }))
redis.call('HSET', base .. 'answers', key, answer)
redis.call('ZADD', base .. 'answered', order, key)
redis.call('ZADD', base .. 'answered:' .. owner, order, key)
redis.call('HINCRBY', sums, 'answerBytes', bytes)
redis.call('HINCRBY', base .. 'shares', owner, bytes)
trim(owner)
for _, list in ipairs({ 'facts', 'answers', 'answered', 'answered:' .. owner, 'sums', 'shares' }) do
  keep(base .. list, answerAge + ${MARGIN})
end
return {}
`

const RELEASE = script(`
local key, holder = take(), take()
local held = redis.call('GET', base .. 'claim:' .. key)
if held and cmsgpack.unpack(held)[1] == holder then redis.call('DEL', base .. 'claim:' .. key) end
return {}
`)

export interface RedisAnswers {
  claim(key: string, claim: Claim, lease: number): Promise<KnownKey | undefined>
  remember(key: string, claim: Claim, answer: string): Promise<KnownKey | undefined>
  release(key: string, claim: Claim): Promise<void>
}

export function redisAnswers(limits: Limits): (run: Run) => RedisAnswers {
  const claim = script(CLAIM, { ...limits })
  const remember = script(REMEMBER, { ...limits })
  return (run) => ({
    claim: async (key, { holder, fingerprint }, lease) =>
      knownIn(await run(claim, key, holder, fingerprint, lease)),
    remember: async (key, { holder, fingerprint, owner }, answer) =>
      knownIn(await run(remember, key, holder, fingerprint, owner, costOfAnswer(answer), answer)),
    release: async (key, { holder }) => void (await run(RELEASE, key, holder)),
  })
}

function knownIn(reply: unknown): KnownKey | undefined {
  const [fingerprint, answer] = reply as [string?, string?]
  if (fingerprint === undefined) return undefined
  return answer === undefined ? { fingerprint } : { fingerprint, answer }
}
