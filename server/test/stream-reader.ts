import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'

/** ms after which a wait is a failure. */
export const PATIENCE = 5000
/** As it is now: a test may stop the clock, and still waits. */
export const startTimer = setTimeout

export interface StreamOptions {
  method?: string
  headers?: Record<string, string>
  body?: string
}

export interface Event {
  name: string
  data: string
  /** The cursor behind it; empty if it is not in the log. */
  id: string
}

/** One event stream, read as it comes: also the bytes, as they are. */
export class Stream {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  text = ''
  readonly events: Event[] = []
  isEnded = false
  readonly #res: IncomingMessage
  readonly #waiting = new Set<() => void>()
  /** The beginning of an event that is still to come. */
  #rest = ''
  #taken = 0

  constructor(res: IncomingMessage) {
    this.status = res.statusCode ?? 0
    this.headers = res.headers
    this.#res = res
    res.setEncoding('utf8')
    res.on('data', (chunk: string) => this.#grow(chunk))
    res.on('error', () => {})
    res.on('close', () => {
      this.isEnded = true
      this.#grow('')
    })
  }

  get names(): string[] {
    return this.events.map(({ name }) => name)
  }

  /** What `connect-finish` said. */
  get finish(): Record<string, unknown> {
    return finishOf(this.events)
  }

  get id(): string {
    return String(this.finish['connectionId'])
  }

  /** Where the client is in the log. */
  get cursor(): string {
    return cursorOf(this.events)
  }

  /** The data of all events of this name. */
  dataOf(name: string): string[] {
    return this.events.filter((event) => event.name === name).map(({ data }) => data)
  }

  /** Waits for the next event of this name that was not waited for yet; skips those before it. */
  async next(name: string): Promise<string> {
    let found = -1
    await this.until(() => {
      found = this.events.findIndex((event, index) => index >= this.#taken && event.name === name)
      return found >= 0
    }, `the event ${name}`)
    this.#taken = found + 1
    return this.events[found]?.data ?? ''
  }

  async json(name: string): Promise<Record<string, unknown>> {
    return JSON.parse(await this.next(name))
  }

  ended(): Promise<void> {
    return this.until(() => this.isEnded, 'the end of the stream')
  }

  until(condition: () => boolean, what: string): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = startTimer(() => {
        this.#waiting.delete(look)
        reject(new Error(`Waited in vain for ${what}; the stream has: ${JSON.stringify(this.text)}`))
      }, PATIENCE)
      const look = () => {
        if (!condition()) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  /** Reads no more, but does not leave. */
  stall(): void {
    this.#res.pause()
  }

  /** Reads on. */
  go(): void {
    this.#res.resume()
  }

  /** The socket is gone, without a goodbye. */
  leave(): void {
    this.#res.destroy()
  }

  #grow(chunk: string): void {
    this.text += chunk
    const blocks = (this.#rest + chunk).split('\n\n')
    this.#rest = blocks.pop() ?? ''
    this.events.push(...blocks.flatMap(eventsIn))
    for (const look of [...this.#waiting]) look()
  }
}

/** All events of a complete answer. */
export function eventsOf(text: string): Event[] {
  return text.split('\n\n').slice(0, -1).flatMap(eventsIn)
}

export function finishOf(events: readonly Event[]): Record<string, unknown> {
  return JSON.parse(events.find(({ name }) => name === 'connect-finish')?.data ?? '{}')
}

/** Where a client is that got these events. */
export function cursorOf(events: readonly Event[]): string {
  return events.findLast(({ id }) => id !== '')?.id ?? ''
}

/** One, or none if it is a comment. */
function eventsIn(block: string): Event[] {
  const fields = block.split('\n').map((line) => line.split(/: (.*)/s))
  const valuesOf = (field: string) =>
    fields.filter(([name]) => name === field).map(([, value]) => value ?? '')
  const [name] = valuesOf('event')
  const [id = ''] = valuesOf('id')
  return name === undefined ? [] : [{ name, data: valuesOf('data').join('\n'), id }]
}

export function openStream(
  url: string,
  { method = 'GET', headers = {}, body }: StreamOptions = {},
): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const req = http.request(url, { method, headers, agent: false }, (res) => resolve(new Stream(res)))
    req.on('error', reject)
    req.end(body)
  })
}
