import { existsSync, readFileSync } from 'node:fs'
import type { Told } from './server'

/** What was accepted, what was done, and what came of it; notes what must not be. */
export class Books {
  readonly violations: string[] = []
  readonly #journal: string
  /** By its number, whom it was for. */
  readonly #plain = new Map<number, string>()
  readonly #users = new Map<number, string>()
  readonly #held = new Map<string, number>()
  readonly #acknowledged = new Set<string>()
  readonly #remembered = new Set<number>()
  readonly #asked = new Set<number>()
  readonly #answered = new Set<number>()
  /** What each client was shown. */
  readonly #shown = new Map<string, Set<number>>()
  readonly #lastPlain = new Map<string, number>()
  /** What the handlers have done, and what of that was remembered before the process began. */
  readonly #effects = new Set<number>()
  #settled = new Set<number>()
  #linesRead = 0
  #handled = 0

  constructor(journal: string) {
    this.#journal = journal
  }

  sent(n: number, user: string): void {
    this.#users.set(n, user)
  }

  asked(n: number): void {
    this.#asked.add(n)
  }

  told(told: Told): void {
    if ('stored' in told) this.#plain.set(told.stored, this.#users.get(told.stored) ?? '')
    else if ('held' in told) this.#held.set(told.held, told.n)
    else if ('acknowledged' in told) this.#acknowledged.add(told.acknowledged)
    else if ('remembered' in told) this.#remembered.add(told.remembered)
    else if ('failed' in told) this.violate(`the server failed: ${told.failed}`)
    else this.#compare(new Set(told.pending))
  }

  answered(n: number, status: number): void {
    if (status !== 200) this.violate(`request ${n} was answered ${status}`)
    if (this.#answered.has(n)) this.violate(`request ${n} was answered twice`)
    this.#answered.add(n)
  }

  shown(client: string, user: string, n: number, isSure: boolean): void {
    const shown = this.#shown.get(client) ?? new Set()
    this.#shown.set(client, shown)
    if (this.#users.get(n) !== user) this.violate(`${client} was shown ${n}, which is not for it`)
    if (shown.has(n)) this.violate(`${client} was shown ${n} twice`)
    shown.add(n)
    if (isSure) return
    const last = this.#lastPlain.get(client) ?? 0
    if (n < last) this.violate(`${client} was shown ${n} after ${last}`)
    this.#lastPlain.set(client, n)
  }

  /** A process has ended: looks at what its handlers have done. */
  killed(): void {
    const lines = existsSync(this.#journal) ? readFileSync(this.#journal, 'utf8').split('\n') : []
    const effects = lines.filter(Boolean).map(Number)
    const done = effects.slice(this.#linesRead)
    this.#linesRead = effects.length
    if (new Set(done).size < done.length) this.violate('a process did one request twice')
    for (const n of done) {
      this.#effects.add(n)
      if (this.#settled.has(n)) this.violate(`request ${n} was done again after its answer was remembered`)
    }
    this.#handled += done.length
    this.#settled = new Set([...this.#remembered, ...this.#answered])
  }

  /** What is not there yet, but has to come. */
  missing(clients: readonly { readonly name: string; readonly user: string }[]): string[] {
    const isShown = (client: string, n: number): boolean => this.#shown.get(client)?.has(n) === true
    const ofClient = clients.flatMap(({ name, user }) =>
      [...this.#plain]
        .filter(([n, whom]) => whom === user && !isShown(name, n))
        .map(([n]) => `${n} at ${name}`),
    )
    const sure = [...this.#held.values()].filter((n) => !clients.some(({ name }) => isShown(name, n)))
    const unanswered = [...this.#asked].filter((n) => !this.#answered.has(n))
    const undone = [...this.#answered].filter((n) => !this.#effects.has(n) && !this.#remembered.has(n))
    return [
      ...ofClient,
      ...sure.map((n) => `${n}, which is sure`),
      ...unanswered.map((n) => `the answer to ${n}`),
      ...undone.map((n) => `what ${n} asked for`),
    ]
  }

  violate(what: string): void {
    this.violations.push(what)
  }

  toString(): string {
    const again = this.#handled - this.#effects.size
    return (
      `${this.#plain.size} plain events, ${this.#held.size} sure ones (${this.#acknowledged.size} acknowledged), ` +
      `${this.#answered.size} requests with a key (${again} done again: killed before their answer was remembered)`
    )
  }

  /** A process has begun, and says what waits. */
  #compare(pending: ReadonlySet<string>): void {
    for (const id of this.#acknowledged)
      if (pending.has(id)) this.violate(`${this.#held.get(id)} waits though it was acknowledged`)
    const shown = new Set([...this.#shown.values()].flatMap((numbers) => [...numbers]))
    for (const [id, n] of this.#held)
      if (!pending.has(id) && !shown.has(n)) this.violate(`${n} does not wait though nobody was shown it`)
  }
}
