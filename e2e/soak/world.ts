import { type FaultProxy, startProxy } from '../proxy'
import { BASE, Backend, type BackendOptions } from './backend'
import { Cast, type Role } from './cast'
import { SoakClient, type Violate } from './client'
import { Faults } from './faults'
import { LogPlaces } from './log-places'
import type { Step } from './plan'
import { Sender } from './sender'
import { createStorage } from './tab'
import { Tally } from './tally'

export interface WorldOptions {
  readonly clients: number
  /** Lines with faults, each for some of the clients; 0: they dial the server itself. */
  readonly lines: number
  readonly settings: NonNullable<BackendOptions['settings']>
  readonly violate: Violate
  readonly onError: (error: unknown, where: string) => void
}

/** The server, the lines to it, and the people at their tabs. */
export class World {
  readonly cast: Cast
  readonly tally = new Tally()
  readonly clients: SoakClient[] = []
  readonly #options: WorldOptions
  readonly #places = new LogPlaces()
  readonly #lines: FaultProxy[] = []
  #backend!: Backend
  #faults!: Faults
  #sender!: Sender

  private constructor(options: WorldOptions) {
    this.#options = options
    this.cast = new Cast(options.clients)
  }

  static async start(options: WorldOptions): Promise<World> {
    const world = new World(options)
    await world.#start()
    return world
  }

  get openClients(): number {
    return this.clients.filter(({ isOpen }) => isOpen).length
  }

  perform(step: Step): void {
    if (step.kind === 'send') this.#sender.send(step)
    else this.#faults.perform(step)
  }

  /** No more faults: all is well, and the people look at their tabs. */
  calm(): Promise<void> {
    return this.#faults.end()
  }

  /** Ends all streams within so many ms; there is another service to go to. */
  drain(within: number): Promise<void> {
    return this.#backend.drain(within, true)
  }

  /** The last event of all. */
  sendLast(): void {
    this.#sender.sendLast()
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.close()
    await Promise.all(this.#lines.map((line) => line.close()))
    await this.#backend.close()
  }

  async #start(): Promise<void> {
    const { cast, clients, tally } = this
    const { onError, settings, lines } = this.#options
    const backend = await Backend.start({
      cast,
      settings,
      onError,
      onStore: (epoch) => this.#places.begin(epoch, tally.sent),
    })
    this.#backend = backend
    for (let n = 0; n < lines; n++) this.#lines.push(await startProxy(backend.port))
    const browsers = new Map(cast.roles.map(({ browser }) => [browser, createStorage()]))
    for (const role of cast.roles) clients.push(this.#createClient(role, browsers))
    this.#faults = new Faults({ clients, lines: this.#lines, backend, tally })
    this.#sender = new Sender({ cast, clients, backend, tally, onError })
  }

  #createClient(role: Role, browsers: ReadonlyMap<string, ReturnType<typeof createStorage>>): SoakClient {
    const { port } = this.#lines[role.client % this.#lines.length] ?? this.#backend
    return new SoakClient({
      role,
      url: `http://127.0.0.1:${port}${BASE}`,
      localStorage: browsers.get(role.browser) ?? createStorage(),
      places: this.#places,
      tally: this.tally,
      violate: this.#options.violate,
    })
  }
}
