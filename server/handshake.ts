import { CATCH_UPS, type CatchUp } from '../client/protocol'
import { HttpError } from './errors'
import { type ListenerLimits, listenerNames } from './listeners'
import { amountIn, type Params, textIn } from './params'

/** ms that a stream lives if neither the server nor the client says otherwise. */
const DEFAULT_KEEPALIVE = 900_000

/** What a client tells of itself when it connects. */
export interface Handshake {
  readonly clientId: string | undefined
  readonly instanceId: string | undefined
  readonly clientVersion: string | undefined
  readonly screen: string | undefined
  readonly locationHref: string | undefined
  readonly accessTime: number | undefined
  readonly sessionDuration: number
  readonly keepaliveTime: number
  readonly channel: string | undefined
  readonly listeners: readonly string[]
  /** Where the client is in the log, as it was told; `undefined`: it begins. */
  readonly lastEventId: string | undefined
  /** What the client wants of the events that it missed, by their names. */
  readonly catchUp: ReadonlyMap<string, CatchUp>
  /** The client acknowledges messages. */
  readonly acks: boolean
  readonly attributes: Params
}

interface Limits extends ListenerLimits {
  /** ms, as the server wants it; `undefined`: as the client does. */
  readonly keepaliveTime: number | undefined
}

/** @throws HttpError 400 or 413 for what is beyond the limits. */
export function readHandshake(params: Params, limits: Limits): Handshake {
  return {
    clientId: idTextIn(params, 'clientId', limits),
    instanceId: idTextIn(params, 'clientInstanceId', limits),
    clientVersion: textIn(params, 'clientVersion'),
    screen: textIn(params, 'screen'),
    // The original client sends its whole address; what stands in the query is not ours to know.
    locationHref: textIn(params, 'locationHref')?.replace(/[?#].*/s, ''),
    accessTime: amountIn(params, 'accessTime'),
    sessionDuration: amountIn(params, 'sessionDuration') ?? 0,
    keepaliveTime: limits.keepaliveTime ?? keepaliveIn(params),
    channel: channelIn(params, limits),
    listeners: listenersIn(params, limits),
    lastEventId: textIn(params, 'lastEventId'),
    catchUp: catchUpIn(params, limits),
    acks: textIn(params, 'acks') === '1',
    attributes: params,
  }
}

/** It is kept as part of a topic, so it must not be long. */
function idTextIn(params: Params, name: string, { maxNameLength }: Limits): string | undefined {
  const id = textIn(params, name)
  if (id === undefined || id.length <= maxNameLength) return id
  throw new HttpError(400, `${name} must not be longer than ${maxNameLength} characters.`)
}

function keepaliveIn(params: Params): number {
  if (textIn(params, 'keepaliveTime') === undefined) return DEFAULT_KEEPALIVE
  const ms = amountIn(params, 'keepaliveTime')
  if (ms === undefined) throw new HttpError(400, 'keepaliveTime must be a number of milliseconds, 0 or more.')
  return ms
}

function channelIn(params: Params, { maxNameLength }: Limits): string | undefined {
  const channel = textIn(params, 'channel')
  if (channel === undefined || (channel.length <= maxNameLength && !/[\r\n\0]/.test(channel))) return channel
  throw new HttpError(
    400,
    `A channel's name is a text of 1 to ${maxNameLength} characters without CR, LF and NUL.`,
  )
}

function listenersIn(params: Params, limits: Limits): readonly string[] {
  const { listeners: given } = params
  const names = [given].flat().flatMap((value) => (typeof value === 'string' ? value.split(',') : []))
  return listenerNames(
    names.filter((name) => name !== ''),
    [],
    limits,
  )
}

/** `name:policy,name:policy`; a name may hold a colon. */
function catchUpIn(params: Params, { maxListeners }: Limits): ReadonlyMap<string, CatchUp> {
  const pairs = (textIn(params, 'catchUp') ?? '').split(',').filter((pair) => pair !== '')
  if (pairs.length > maxListeners)
    throw new HttpError(413, `catchUp must not have more than ${maxListeners} names.`)
  return new Map(pairs.map((pair) => [pair.slice(0, pair.lastIndexOf(':')), policyIn(pair)]))
}

function policyIn(pair: string): CatchUp {
  const policy = CATCH_UPS.find((known) => pair.endsWith(`:${known}`))
  if (policy !== undefined) return policy
  throw new HttpError(400, `catchUp must be like "name:latest"; the policies are ${CATCH_UPS.join(', ')}.`)
}
