import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultProxy } from '../proxy'
import type { Backend } from './backend'
import type { SoakClient } from './client'
import type { LineFault, PageFault, ServerFault } from './plan'
import type { Tally } from './tally'

type Fault = PageFault | LineFault | ServerFault
type Of<Kind> = Extract<Fault, { readonly kind: Kind }>
type Ways = { readonly [Kind in Fault['kind']]: (fault: Extract<Fault, { readonly kind: Kind }>) => void }

export interface FaultsParts {
  readonly clients: readonly SoakClient[]
  readonly lines: readonly FaultProxy[]
  readonly backend: Backend
  readonly tally: Tally
}

/** Makes each fault of the plan come true, and ends it when its time is over. */
export class Faults {
  readonly #parts: FaultsParts
  /** How each one that lasts is ended. A place has one at a time, others pass it by. */
  readonly #lasting = new Map<string, { end: () => void; timer: NodeJS.Timeout }>()
  #server = Promise.resolve()
  #isOver = false

  constructor(parts: FaultsParts) {
    this.#parts = parts
  }

  perform(fault: Fault): void {
    // TypeScript does not see that a kind and its way belong together.
    const way = this.#ways[fault.kind] as (fault: Fault) => void
    way(fault)
  }

  /** No more faults; resolves when the server and all lines are well. */
  async end(): Promise<void> {
    this.#isOver = true
    for (const { timer } of this.#lasting.values()) clearTimeout(timer)
    for (const { end } of [...this.#lasting.values()]) end()
    this.#lasting.clear()
    await this.#server
    for (const line of this.#parts.lines) {
      line.cutAfter(Number.POSITIVE_INFINITY)
      await comeBack(line)
    }
  }

  readonly #ways: Ways = {
    hide: (fault) => this.#away(fault, (client) => client.hide()),
    freeze: (fault) => this.#away(fault, (client) => client.freeze()),
    offline: (fault) => this.#offline(fault),
    reload: ({ client, how }) => {
      this.#tell(`reload by ${how}`, client)
      this.#parts.clients[client]?.reload(how)
    },
    cut: ({ line }) => this.#at(line, 'cut', (at) => at.cut()),
    cutAfter: ({ line, bytes, times }) =>
      this.#at(line, 'cutAfter', (at) => at.cutAfter(bytes, { streams: true, times })),
    stall: (fault) => this.#stall(fault),
    deaf: (fault) => this.#deaf(fault),
    refuse: (fault) => this.#refuse(fault),
    delay: (fault) => this.#delay(fault),
    throttle: (fault) => this.#throttle(fault),
    restart: ({ ms, fresh }) =>
      this.#atServer(fresh ? 'new store' : 'restart', (backend) => backend.restart(ms, fresh)),
    drain: ({ within, handOver }) =>
      this.#atServer(handOver ? 'drain to another' : 'drain', (backend) => backend.drain(within, handOver)),
  }

  #away({ kind, client, ms }: Of<'hide' | 'freeze'>, leave: (client: SoakClient) => void): void {
    const at = this.#parts.clients[client]
    if (at === undefined) return
    const begin = (): void => {
      this.#tell(kind, client)
      leave(at)
    }
    this.#during(ms, `page ${client}`, begin, () => at.show())
  }

  #offline({ kind, client, ms }: Of<'offline'>): void {
    const at = this.#parts.clients[client]
    if (at === undefined) return
    const begin = (): void => {
      this.#tell(kind, client)
      at.tab.goOffline()
    }
    this.#during(ms, `network ${client}`, begin, () => at.tab.goOnline())
  }

  #stall({ line, ms, direction }: Of<'stall'>): void {
    const stall = (at: FaultProxy): void => at.stall(direction)
    this.#lineDuring(ms, line, `stall ${direction}`, stall, (at) => at.resume())
  }

  #deaf({ line, ms }: Of<'deaf'>): void {
    const begin = (at: FaultProxy): void => {
      at.stall('down')
      // They all dial, and hear nothing.
      at.cut()
    }
    this.#lineDuring(ms, line, 'deaf', begin, (at) => at.resume())
  }

  #refuse({ line, ms }: Of<'refuse'>): void {
    const begin = (at: FaultProxy): unknown => at.refuse(true)
    this.#lineDuring(ms, line, 'refuse', begin, (at) => void comeBack(at))
  }

  #delay({ line, ms, delay }: Of<'delay'>): void {
    const begin = (at: FaultProxy): void => at.delay(delay)
    this.#lineDuring(ms, line, 'delay', begin, (at) => at.delay(0))
  }

  #throttle({ line, ms, bytesPerSecond }: Of<'throttle'>): void {
    const begin = (at: FaultProxy): void => at.throttle(bytesPerSecond)
    this.#lineDuring(ms, line, 'throttle', begin, (at) => at.throttle(Number.POSITIVE_INFINITY))
  }

  #at(line: number, name: string, act: (line: FaultProxy) => unknown): void {
    const at = this.#parts.lines[line]
    if (at === undefined) return
    this.#tellLine(name, line)
    act(at)
  }

  #lineDuring(
    ms: number,
    line: number,
    name: string,
    begin: (line: FaultProxy) => unknown,
    end: (line: FaultProxy) => void,
  ): void {
    const at = this.#parts.lines[line]
    if (at === undefined) return
    const start = (): unknown => this.#at(line, name, begin)
    const stop = (): void => {
      for (const client of this.#clientsOf(line)) client.history.add('line', line, name, 'is over')
      end(at)
    }
    // Stalls and deafness end in the same way.
    const place = name === 'deaf' ? 'stall' : name.split(' ')[0]
    this.#during(ms, `${place} of line ${line}`, start, stop)
  }

  #during(ms: number, place: string, begin: () => unknown, end: () => void): void {
    if (this.#lasting.has(place)) return
    const timer = setTimeout(() => {
      this.#lasting.delete(place)
      end()
    }, ms)
    this.#lasting.set(place, { end, timer })
    begin()
  }

  /** One after the other, and none left out: a new store, or not, changes all that follows. */
  #atServer(name: string, act: (backend: Backend) => Promise<void>): void {
    this.#server = this.#server.then(async () => {
      if (this.#isOver) return
      this.#tellServer(name)
      await act(this.#parts.backend)
      this.#tellServer(`${name} is over`)
    })
  }

  #tellServer(name: string): void {
    const { clients, tally } = this.#parts
    if (!name.endsWith('over')) tally.count(tally.faults, name)
    for (const { history } of clients) history.add('server', name)
  }

  #tell(name: string, client: number): void {
    const { clients, tally } = this.#parts
    tally.count(tally.faults, name)
    clients[client]?.history.add('page', name)
  }

  #tellLine(name: string, line: number): void {
    const { tally } = this.#parts
    tally.count(tally.faults, name)
    for (const { history } of this.#clientsOf(line)) history.add('line', line, name)
  }

  #clientsOf(line: number): readonly SoakClient[] {
    const { clients, lines } = this.#parts
    return clients.filter(({ role }) => role.client % lines.length === line)
  }
}

/** Accepts again. While nobody listened, the system may have lent the port to somebody who dialled; for a while. */
async function comeBack(line: FaultProxy): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await line.refuse(false)
    } catch (error) {
      if (attempt === 300) throw error
      await sleep(100)
    }
  }
}
