import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import { createSse, type SseOptions, type SseService, type Store } from 'tabwire/server'
import { memoryStore } from 'tabwire/stores/memory'
import type { Cast, User } from './cast'
import { slowStore } from './slow-store'

/** Where the service of the soak is mounted. */
export const BASE = '/sse/soak'
const NAME = 'soak'

export interface BackendOptions {
  readonly cast: Cast
  readonly settings?: Partial<SseOptions<User>>
  readonly onError: (error: unknown, where: string) => void
  /** A new store is there, with a log of this epoch that has nothing yet. */
  readonly onStore: (epoch: string) => void
}

/** The application: a server that can die, and services that follow one another, with one store or not. */
export class Backend {
  port = 0
  readonly #options: BackendOptions
  #store: Store = memoryStore()
  #service: SseService<User>
  /** Who answers; not always the newest service. */
  #answer: RequestListener
  #server: Server | undefined
  #isClosed = false
  /** Services that are ending. */
  readonly #ending = new Set<Promise<void>>()

  private constructor(options: BackendOptions) {
    this.#options = options
    this.#service = this.#create()
    this.#answer = toListener(this.#service)
  }

  static async start(options: BackendOptions): Promise<Backend> {
    const backend = new Backend(options)
    options.onStore(await epochOf(backend.#store))
    await backend.#listen()
    return backend
  }

  /** The one to send by: it knows the log, though perhaps nobody is connected with it yet. */
  get service(): SseService<User> {
    return this.#service
  }

  /** As if the process died, and after a while another took its place. What is sent meanwhile goes to the log. */
  async restart(ms: number, fresh: boolean): Promise<void> {
    const store = fresh ? memoryStore() : this.#store
    const epoch = await epochOf(store)
    this.#kill()
    if (fresh) this.#options.onStore(epoch)
    this.#store = store
    this.#answer = toListener(this.#succeed())
    await sleep(ms)
    if (!this.#isClosed) await this.#listen()
  }

  /** @param handOver new connections go to the next service at once; else they get 503 until the drain is over */
  async drain(within: number, handOver: boolean): Promise<void> {
    const next = toListener(this.#succeed(within))
    if (handOver) this.#answer = next
    await Promise.all(this.#ending)
    this.#answer = next
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#kill()
    await this.#service.close()
    await Promise.all(this.#ending)
  }

  #create(): SseService<User> {
    const { cast, settings, onError } = this.#options
    return createSse<User>({
      name: NAME,
      store: slowStore(this.#store),
      getUser: ({ query }) => cast.user(Number(query['user'])),
      onError,
      ...settings,
    })
  }

  #succeed(within = 0): SseService<User> {
    const ended = this.#service.close({ within })
    this.#service = this.#create()
    this.#ending.add(ended)
    void ended.finally(() => this.#ending.delete(ended))
    return this.#service
  }

  #kill(): void {
    this.#server?.close()
    this.#server?.closeAllConnections()
    this.#server = undefined
  }

  async #listen(): Promise<void> {
    const server = createServer((req, res) => this.#answer(req, res))
    await once(server.listen(this.port, '127.0.0.1'), 'listening')
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }
}

function toListener(service: SseService<User>): RequestListener {
  return express().use(BASE, service.router)
}

async function epochOf(store: Store): Promise<string> {
  return (await store.read(NAME, [])).epoch
}
