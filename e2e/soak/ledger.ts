import type { CatchUps } from './cast'
import type { LogPlaces } from './log-places'
import type { Tally } from './tally'

/** An event that a client is to get. */
export interface Due {
  /** The soak's own number of it, which travels in its data. */
  readonly n: number
  readonly name: string
  readonly key: string
  /** Only for this client object; a page that is loaded again has another. */
  readonly instance?: string
}

/** An event that came. */
export interface Came {
  readonly name: string
  readonly lastEventId: string
  readonly replayed: boolean
  /** Its data: the number of the event, or how many it stands for. */
  readonly data: { readonly n?: number; readonly count?: number }
}

/** What `connect-finish` says of the return. */
export interface Greeting {
  readonly recovered?: boolean
  readonly replayed?: number
  readonly reason?: string
}

type Fault = 'lost' | 'double' | 'misordered' | 'wrong'

/** So many of those that came are remembered, to tell a double one from a strange one. */
const REMEMBERED = 1000

/** The books of one client: what it must get, and whether that comes; each event once, in order, none left out. */
export class Ledger {
  readonly #catchUp: CatchUps
  readonly #places: LogPlaces
  readonly #tally: Tally
  readonly #violate: (what: string) => void
  /** In the order of their numbers. */
  #due: Due[] = []
  #got: number[] = []
  /** Of the log that it is in; undefined before the first connect, and after a reload that forgets. */
  #epoch: string | undefined
  /** Behind which event it is. */
  #at = 0
  #toReplay = 0
  /** After a catch-up in two parts nothing says up to where the second was, if nothing of it was wanted. */
  #unwantedUpTo = 0
  #owesGap = false

  constructor(catchUp: CatchUps, places: LogPlaces, tally: Tally, violate: (what: string) => void) {
    this.#catchUp = catchUp
    this.#places = places
    this.#tally = tally
    this.#violate = violate
  }

  /** What has not come yet. */
  get due(): readonly Due[] {
    return this.#due
  }

  expect(due: Due): void {
    this.#tally.expected++
    this.#due.push(due)
  }

  /** Another object in another page takes the place of the client. */
  reloaded(remembers: boolean): void {
    this.#excuse(({ instance }) => instance !== undefined)
    this.#toReplay = 0
    if (!remembers) this.#epoch = undefined
  }

  /** `connect-finish` came. */
  greeted({ recovered, replayed, reason }: Greeting, lastEventId: string): void {
    const { epoch, n, isAmid } = this.#places.of(lastEventId)
    if (this.#owesGap) this.#fail('wrong', 'the gap before was never told')
    const before = this.#epoch
    const isReturn = before === epoch && recovered === true
    const isGap = before !== undefined && before !== epoch && recovered === false && reason === 'epoch'
    const isFirst = before === undefined && recovered === undefined
    if (!isReturn && !isGap && !isFirst)
      this.#fail('wrong', `recovered is ${recovered} (${reason ?? 'no reason'}), from ${before} to ${epoch}`)
    this.#owesGap = recovered === false
    this.#epoch = epoch
    this.#unwantedUpTo = isAmid ? this.#tally.sent : 0
    if (isReturn) this.#returned(n, replayed ?? 0)
    else this.#begin(n)
  }

  /** `sse-gap` came. */
  gap(): void {
    if (!this.#owesGap) this.#fail('wrong', 'a gap without a cause, or told twice')
    this.#owesGap = false
    this.#tally.gaps++
  }

  arrived({ name, lastEventId, replayed, data }: Came): void {
    const { n: at } = this.#places.of(lastEventId)
    if (this.#owesGap) this.#fail('wrong', 'events before the gap was told')
    if (at <= this.#at) this.#fail(...this.#stale(data.n ?? at))
    else if (this.#catchUp[name] === 'count' && data.count !== undefined) this.#counted(name, at, data.count)
    else this.#delivered(data.n ?? 0, replayed)
    this.#at = Math.max(at, this.#at)
    this.#progress(replayed)
  }

  /** The rest is lost. */
  close(): void {
    for (const due of this.#due.splice(0)) this.#lose(due, 'it never came')
  }

  #begin(n: number): void {
    this.#at = n
    this.#toReplay = 0
    this.#excuse((due) => due.n <= n)
  }

  #returned(n: number, replayed: number): void {
    if (replayed === 0 ? n < this.#at : n !== this.#at)
      this.#fail('wrong', `returned behind ${n}, but it was behind ${this.#at}`)
    this.#toReplay = replayed
    if (replayed > 0) return
    this.#at = n
    this.#settle('the server says that nothing was missed')
  }

  #stale(n: number): [Fault, string] {
    const kind = this.#got.includes(n) ? 'double' : 'misordered'
    return [kind, `${n} came when it was behind ${this.#at} already`]
  }

  #delivered(n: number, replayed: boolean): void {
    const index = this.#due.findIndex((due) => due.n === n)
    const [due] = index === -1 ? [] : this.#due.splice(index, 1)
    if (due === undefined) return this.#fail('wrong', `${n} is not for this client`)
    this.#pass(n, replayed)
    this.#supersede(due)
    this.#tally.delivered++
    if (replayed) this.#tally.replayed++
    this.#got.push(n)
    if (this.#got.length > 2 * REMEMBERED) this.#got = this.#got.slice(-REMEMBERED)
  }

  #counted(name: string, at: number, count: number): void {
    const stoodFor = this.#due.filter((due) => due.name === name && due.n <= at)
    this.#due = this.#due.filter((due) => !stoodFor.includes(due))
    if (stoodFor.length !== count)
      this.#fail('wrong', `${name} counts ${count}, but there were ${stoodFor.length} up to ${at}`)
    this.#pass(stoodFor.at(-1)?.n ?? at, true)
    this.#tally.counted += stoodFor.length
  }

  /** What is due and was passed over is lost, unless it was missed and is wanted in another way, if at all. */
  #pass(n: number, replayed: boolean): void {
    for (const due of this.#due.filter((other) => other.n < n)) {
      const policy = this.#policyOf(due)
      if (replayed && policy !== 'all') continue
      if (policy === 'drop' && due.n <= this.#unwantedUpTo) this.#drop(due)
      else this.#lose(due, `${n} came instead`)
    }
  }

  #supersede({ name, key, n }: Due): void {
    if (this.#catchUp[name] !== 'latest') return
    const left = this.#due.filter((due) => due.name !== name || due.key !== key || due.n > n)
    this.#tally.superseded += this.#due.length - left.length
    this.#due = left
  }

  /** An event of a catch-up came, or a live one. */
  #progress(replayed: boolean): void {
    if (!replayed) {
      if (this.#toReplay > 0)
        this.#fail('wrong', `${this.#toReplay} events less were replayed than announced`)
      this.#toReplay = 0
      return
    }
    if (this.#toReplay === 0) this.#fail('wrong', 'more events were replayed than announced')
    else if (--this.#toReplay === 0) this.#settle('the catch-up is over')
  }

  /** All up to here was there to be had: it came, or it was not wanted. */
  #settle(why: string): void {
    for (const due of this.#due.filter(({ n }) => n <= this.#at)) {
      if (this.#policyOf(due) === 'drop') this.#drop(due)
      else this.#lose(due, why)
    }
  }

  #excuse(isExcused: (due: Due) => boolean): void {
    const left = this.#due.filter((due) => !isExcused(due))
    this.#tally.excused += this.#due.length - left.length
    this.#due = left
  }

  #policyOf({ name }: Due): string {
    return this.#catchUp[name] ?? 'all'
  }

  #remove(due: Due): void {
    const index = this.#due.indexOf(due)
    if (index !== -1) this.#due.splice(index, 1)
  }

  #drop(due: Due): void {
    this.#remove(due)
    this.#tally.dropped++
  }

  #lose(due: Due, why: string): void {
    this.#remove(due)
    this.#fail('lost', `${due.n} (${due.name}${due.key && `, key ${due.key}`}): ${why}`)
  }

  #fail(fault: Fault, what: string): void {
    this.#tally[fault]++
    this.#violate(`${fault}: ${what}`)
  }
}
