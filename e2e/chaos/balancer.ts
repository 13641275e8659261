import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Sends each connection to another of the nodes, as a balancer does that knows nothing of clients. */
export class Balancer {
  readonly #ports: readonly number[]
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #next = 0

  constructor(ports: readonly number[]) {
    this.#ports = ports
    this.#server = createServer((client) => this.#join(client, this.#ports.length))
  }

  async start(): Promise<string> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  /** The next node that takes it. */
  #join(client: Socket, left: number): void {
    if (left === 0) return void client.destroy()
    const port = this.#ports[this.#next++ % this.#ports.length] ?? 0
    const node = connect(port, '127.0.0.1')
    node.once('error', () => this.#join(client, left - 1))
    node.once('connect', () => {
      node.removeAllListeners('error')
      for (const [from, to] of [
        [client, node],
        [node, client],
      ] as const) {
        this.#sockets.add(from)
        from
          .on('error', () => {})
          .once('close', () => {
            this.#sockets.delete(from)
            to.destroy()
          })
        from.pipe(to)
      }
    })
  }
}
