import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { pageUrl } from './app'
import { type Cut, Fuse } from './fuse'
import { type Faults, Lane, reset } from './lane'

/** `down`: towards the client. */
export type Direction = 'down' | 'up' | 'both'

/**
 * A TCP line to a server that can be made bad in every way that lines are bad. Faults are for connections that are
 * open as well as for those to come, and stay until they are taken back.
 */
export interface FaultProxy {
  /** `http://127.0.0.1:…` */
  readonly origin: string
  readonly port: number
  /** How many connections are open now, as their clients see it. */
  readonly connections: number
  /** How many were accepted so far. */
  readonly total: number
  /** How many bytes the clients (`up`) and the server have sent so far, also those that did not arrive. */
  readonly bytes: { readonly up: number; readonly down: number }
  /** How many `cutAfter` has cut so far. */
  readonly cuts: number
  /** Address of the page for a user, through the proxy; the other parameters are options of its client. */
  page(user: string | number, options?: Record<string, unknown>): string
  /** Resets every open connection on both sides, also where it is stalled. */
  cut(): void
  /**
   * Cuts a connection as soon as so many further bytes have gone to its client. Takes the place of the `cutAfter`
   * before, in that direction; `Infinity` takes it back.
   * @param options.direction `up`: counts what goes to the server instead
   * @param options.streams counts from the end of the head of an event stream (HTTP/1.1, no TLS), on connections that
   * carry one; 0 lets exactly the head through
   * @param options.times how many connections are cut before the fault is spent (default: 1, so that who comes back
   * gets through)
   */
  cutAfter(bytes: number, options?: { streams?: boolean; times?: number; direction?: 'down' | 'up' }): void
  /** The line is silently dead: bytes, ends and resets are held, and nobody is told. New connections are accepted. */
  stall(direction?: Direction): void
  /** Both directions go on, with all that was held. */
  resume(): void
  /** What is sent from now on arrives so many ms later. 0 takes it back. */
  delay(ms: number, direction?: Direction): void
  /** At most so many bytes per second (more than 0) each way of each connection. `Infinity` takes it back. */
  throttle(bytesPerSecond: number, direction?: Direction): void
  /** `true`: nobody listens, new connections get ECONNREFUSED; open ones go on. `false`: back, on the same port. */
  refuse(refuse: boolean): Promise<void>
  close(): Promise<void>
}

/** A connection of a client, and the one to the server that belongs to it. */
interface Pair {
  readonly client: Socket
  readonly server: Socket
  readonly fuses: { readonly down: Fuse; readonly up: Fuse }
  readonly lanes: readonly Lane[]
}

const HOST = '127.0.0.1'
const healthy = (): Faults => ({ stalled: false, delay: 0, rate: Number.POSITIVE_INFINITY, bytes: 0 })

function cutPair({ client, server, lanes }: Pair): void {
  for (const lane of lanes) lane.close()
  reset(client)
  reset(server)
}

async function isClosed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
}

class LocalProxy implements FaultProxy {
  port = 0
  total = 0
  cuts = 0
  readonly #targetPort: number
  readonly #faults = { down: healthy(), up: healthy() }
  readonly #pairs = new Set<Pair>()
  readonly #cuts: { down?: Cut; up?: Cut } = {}
  #listener: Server | undefined

  constructor(targetPort: number) {
    this.#targetPort = targetPort
  }

  get origin(): string {
    return `http://${HOST}:${this.port}`
  }

  get connections(): number {
    return [...this.#pairs].filter(({ client }) => client.readable).length
  }

  get bytes(): FaultProxy['bytes'] {
    return { up: this.#faults.up.bytes, down: this.#faults.down.bytes }
  }

  page(user: string | number, options?: Record<string, unknown>): string {
    return pageUrl(this.origin, user, options)
  }

  cut(): void {
    for (const pair of this.#pairs) cutPair(pair)
  }

  cutAfter(
    bytes: number,
    { streams = false, times = 1, direction = 'down' }: Parameters<FaultProxy['cutAfter']>[1] = {},
  ): void {
    const cut = { bytes, streams, times }
    this.#cuts[direction] = cut
    for (const { fuses } of this.#pairs) fuses[direction].light(cut)
  }

  stall(direction: Direction = 'both'): void {
    this.#set({ stalled: true }, direction)
  }

  resume(): void {
    this.#set({ stalled: false })
  }

  delay(ms: number, direction?: Direction): void {
    this.#set({ delay: ms }, direction)
  }

  throttle(bytesPerSecond: number, direction?: Direction): void {
    this.#set({ rate: bytesPerSecond }, direction)
  }

  async refuse(refuse: boolean): Promise<void> {
    if (!refuse) return this.listen()
    // Nobody listens from here on; that it is closed is told only when its last connection has ended.
    this.#listener?.close()
    this.#listener = undefined
  }

  async listen(): Promise<void> {
    if (this.#listener) return
    // Ends travel each by itself, as everything else does.
    const options = { allowHalfOpen: true, noDelay: true }
    const listener = createServer(options, (client) => this.#accept(client))
    await once(listener.listen(this.port, HOST), 'listening')
    this.#listener = listener
    this.port = (listener.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    await this.refuse(true)
    this.cut()
    await Promise.all([...this.#pairs].flatMap(({ client, server }) => [isClosed(client), isClosed(server)]))
  }

  #accept(client: Socket): void {
    this.total++
    const server = connect({ port: this.#targetPort, host: HOST, allowHalfOpen: true, noDelay: true })
    const blow = (): void => {
      this.cuts++
      cutPair(pair)
    }
    const fuses = { down: new Fuse(blow), up: new Fuse(blow) }
    const { down, up } = this.#faults
    const lanes = [new Lane(server, client, down, fuses.down), new Lane(client, server, up, fuses.up)]
    const pair: Pair = { client, server, fuses, lanes }
    if (this.#cuts.down) fuses.down.light(this.#cuts.down)
    if (this.#cuts.up) fuses.up.light(this.#cuts.up)
    this.#pairs.add(pair)
    const forget = (): unknown => client.closed && server.closed && this.#pairs.delete(pair)
    client.on('close', forget)
    server.on('close', forget)
  }

  #set(faults: Partial<Faults>, direction: Direction = 'both'): void {
    const { down, up } = this.#faults
    if (direction !== 'up') Object.assign(down, faults)
    if (direction !== 'down') Object.assign(up, faults)
    for (const { lanes } of this.#pairs) for (const lane of lanes) lane.flush()
  }
}

/** A proxy on a free port of 127.0.0.1, in front of that port. If nobody listens there, its clients are reset. */
export async function startProxy(targetPort: number): Promise<FaultProxy> {
  const proxy = new LocalProxy(targetPort)
  await proxy.listen()
  return proxy
}
