import type { Audience, Cast } from './cast'
import { pickEvent } from './names'
import type { Random } from './random'

/** One thing that happens. Times are ms; `at` counts from the start. */
export type Step = { readonly at: number } & (Send | PageFault | LineFault | ServerFault)

export interface Send {
  readonly kind: 'send'
  readonly audience: Audience
  readonly name: string
  readonly key: string
  readonly listening: boolean
  /** Bytes of data besides. */
  readonly padding: number
  /** So many at once. */
  readonly times: number
}

export type PageFault =
  | { readonly kind: 'hide' | 'freeze' | 'offline'; readonly client: number; readonly ms: number }
  | { readonly kind: 'reload'; readonly client: number; readonly how: 'destroy' | 'pagehide' | 'crash' }

export type LineFault =
  | { readonly kind: 'cut'; readonly line: number }
  | { readonly kind: 'cutAfter'; readonly line: number; readonly bytes: number; readonly times: number }
  | { readonly kind: 'refuse' | 'deaf'; readonly line: number; readonly ms: number }
  | { readonly kind: 'stall'; readonly line: number; readonly ms: number; readonly direction: Direction }
  | { readonly kind: 'delay'; readonly line: number; readonly ms: number; readonly delay: number }
  | { readonly kind: 'throttle'; readonly line: number; readonly ms: number; readonly bytesPerSecond: number }

type Direction = 'up' | 'down' | 'both'

export type ServerFault =
  /** Killed, and back after `ms`. `fresh`: with a new store. */
  | { readonly kind: 'restart'; readonly ms: number; readonly fresh: boolean }
  /** Drained; new connections go to the next service at once, or find the door closed till it is done. */
  | { readonly kind: 'drain'; readonly within: number; readonly handOver: boolean }

export interface Scale {
  readonly cast: Cast
  readonly lines: number
  readonly sendsPerSecond: number
  /** 1: as many faults as usual. */
  readonly faults: number
}

type Make = () => Send | PageFault | LineFault | ServerFault

/** What is going to happen, without end; of the same seed always the same. */
export function* plan(random: Random, scale: Scale): Generator<Step> {
  const kinds = [
    { weight: scale.sendsPerSecond, make: () => send(random, scale.cast) },
    ...[...pageFaults(random, scale), ...lineFaults(random, scale), ...serverFaults(random)].map(
      ([perSecond, make]) => ({ weight: perSecond * scale.faults, make }),
    ),
  ]
  const perSecond = kinds.reduce((sum, { weight }) => sum + weight, 0)
  for (let at = random.pause(perSecond); ; at += random.pause(perSecond))
    yield { at, ...random.weighted(kinds).make() }
}

function send(random: Random, cast: Cast): Send {
  const isBurst = random.chance(0.002)
  return {
    kind: 'send',
    audience: pickAudience(random, cast),
    ...pickEvent(random),
    // Rarely so much that a stalled line makes a slow reader.
    padding: random.chance(0.02) ? random.whole(1000, 30_000) : 0,
    times: isBurst ? random.whole(20, 200) : 1,
  }
}

function pickAudience(random: Random, { users, tenants, tokens, channels, roles }: Cast): Audience {
  const several = <T>(from: readonly T[]): T[] =>
    Array.from({ length: random.whole(2, 5) }, () => random.pick(from))
  const userIds = users.map(({ id }) => id)
  const { make } = random.weighted<{ weight: number; make(): Audience }>([
    { weight: 35, make: () => ({ to: 'user', ids: [random.pick(userIds)] }) },
    { weight: 14, make: () => ({ to: 'user', ids: several(userIds) }) },
    { weight: 10, make: () => ({ to: 'tenant', ids: [random.pick(tenants)] }) },
    { weight: 2, make: () => ({ to: 'tenant', ids: several(tenants) }) },
    { weight: 10, make: () => ({ to: 'token', ids: [random.pick(tokens)] }) },
    { weight: 2, make: () => ({ to: 'token', ids: several(tokens) }) },
    { weight: 8, make: () => ({ to: 'channel', ids: [random.pick(channels)] }) },
    { weight: 2, make: () => ({ to: 'channel', ids: several(channels) }) },
    { weight: 15, make: () => ({ to: 'connection', client: random.pick(roles).client }) },
    { weight: 2, make: () => ({ to: 'all' }) },
  ])
  return make()
}

function pageFaults(random: Random, { cast: { roles } }: Scale): [perSecond: number, Make][] {
  const client = (): number => random.pick(roles).client
  // Most only glance away.
  const away = (): number => (random.chance(0.7) ? random.whole(0, 1500) : random.whole(1500, 15_000))
  const often = roles.length / 300
  return [
    [8 * often, () => ({ kind: 'hide', client: client(), ms: away() })],
    [1 * often, () => ({ kind: 'freeze', client: client(), ms: away() })],
    [1.5 * often, () => ({ kind: 'offline', client: client(), ms: away() })],
    [
      2 * often,
      () => ({ kind: 'reload', client: client(), how: random.pick(['destroy', 'pagehide', 'crash']) }),
    ],
  ]
}

function lineFaults(random: Random, { lines }: Scale): [perSecond: number, Make][] {
  const line = (): number => random.whole(0, lines - 1)
  const a = <Kind extends string>(kind: Kind, least: number, most: number) => ({
    kind,
    line: line(),
    ms: random.whole(least, most),
  })
  return [
    [0.3, () => ({ kind: 'cut', line: line() })],
    [1, () => ({ kind: 'cutAfter', line: line(), bytes: random.whole(0, 4000), times: random.whole(1, 20) })],
    [0.5, () => ({ ...a('stall', 100, 3000), direction: random.pick(['up', 'down', 'both']) })],
    // Longer than a connect may take: who dials meanwhile polls from then on.
    [0.02, () => ({ ...a('deaf', 10_500, 12_000) })],
    [0.3, () => a('refuse', 50, 2000)],
    [0.3, () => ({ ...a('delay', 500, 5000), delay: random.whole(1, 400) })],
    [0.2, () => ({ ...a('throttle', 500, 3000), bytesPerSecond: random.whole(2000, 200_000) })],
  ]
}

function serverFaults(random: Random): [perSecond: number, Make][] {
  return [
    [0.05, () => ({ kind: 'restart', ms: random.whole(0, 1500), fresh: false })],
    [0.015, () => ({ kind: 'restart', ms: random.whole(0, 1500), fresh: true })],
    [0.06, () => ({ kind: 'drain', within: random.whole(0, 3000), handOver: random.chance(0.7) })],
  ]
}
