import { createHash } from 'node:crypto'

/** A text of Lua that Redis runs as one step. Its first key names the service; all others of the service begin with it. */
export interface Script {
  readonly text: string
  /** By which Redis knows it, once it has had the text. */
  readonly sha: string
  /** Run again, because its reply was lost, it answers what it did, and does nothing. */
  readonly isOnce: boolean
}

/** What a script is given after the time; `run` puts it there. */
export type Argument = string | number

/** Every script begins with this. Arguments are taken in the order in which they are given. */
const PRELUDE = `
local base, now, at = KEYS[1], tonumber(ARGV[1]), 1
local function take() at = at + 1 return ARGV[at] end
local function rest()
  local list = {}
  while at < #ARGV do list[#list + 1] = take() end
  return list
end
local function some()
  local list = {}
  for n = 1, tonumber(take()) do list[n] = take() end
  return list
end
-- A life is only ever made longer.
local function keep(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end
-- Redis' own clock: all nodes have the same.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function say(node, text) return redis.call('PUBLISH', base .. 'to:' .. node, text) end
`

/** ms that a call whose reply was lost may be made again. */
const CALL_LIFE = 60_000

const ONCE = (body: string) => `
local function main()
${body}
end
local calls, n, settled = base .. 'calls:' .. take(), take(), take()
local known = redis.call('HGET', calls, n)
if known then return cmsgpack.unpack(known) end
local reply = main()
if type(reply) == 'table' and reply.err then return reply end
redis.call('HSET', calls, n, cmsgpack.pack(reply))
redis.call('PEXPIRE', calls, ${CALL_LIFE})
if settled ~= '' then
  local gone = {}
  for n in string.gmatch(settled, '%d+') do gone[#gone + 1] = n end
  for at = 1, #gone, 1000 do redis.call('HDEL', calls, unpack(gone, at, math.min(at + 999, #gone))) end
end
return reply
`

/** Numbers and truths that a script knows by their names. */
type Constants = Readonly<Record<string, number | boolean>>

function scriptOf(body: string, constants: Constants, isOnce: boolean): Script {
  const known = Object.entries(constants).map(([name, value]) => `local ${name} = ${luaOf(value)}\n`)
  const text = PRELUDE + known.join('') + body
  return { text, sha: createHash('sha1').update(text).digest('hex'), isOnce }
}

/** Infinity is `math.huge` there. */
function luaOf(value: number | boolean): string {
  return value === Number.POSITIVE_INFINITY ? 'math.huge' : String(value)
}

export const script = (body: string, constants: Constants = {}): Script => scriptOf(body, constants, false)
export const onceScript = (body: string, constants: Constants = {}): Script =>
  scriptOf(ONCE(body), constants, true)

/** Runs a script for one service. */
export type Run = (script: Script, ...args: Argument[]) => Promise<unknown>

/** A list, as `some` takes it. */
export const listed = (list: readonly Argument[]): Argument[] => [list.length, ...list]
