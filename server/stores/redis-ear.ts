import type { Position } from '../cursor'
import type { Entry, ServiceNode } from '../store'
import type { Topic } from '../topic'
import type { RedisHistory } from './redis-log'
import type { Enlisted } from './redis-presence'

/** Topics that are read at once. */
const AT_ONCE = 100
/** ms till what failed is tried again. */
const PAUSE = 100
/** ms in which a node hears what it says to itself, if it hears at all. */
const ECHO_TIME = 1000

/** An event that was heard, and who wants to know to how many it was written; of one that was read nobody does. */
interface Heard {
  readonly entry: Entry
  readonly asker?: string
  readonly n?: number
  /** It was of another log than the last one that was read. */
  readonly isOld?: boolean
}

/** What was sent behind a place. */
interface Read {
  /** Up to here. */
  place: Position
  /** Nobody who is in the log that was read has been told less. */
  start: number
  /** By their numbers. */
  readonly entries: Map<number, Entry>
  /** The history of these does not reach back so far. */
  readonly lost: Topic[]
  /** The place is in a log that is no more. */
  isOver: boolean
}

/** What was sent and not heard. */
interface Missed extends Read {
  readonly from: Position
  /** The log of before is no more; this is of the one that is now, from where all began anew. */
  readonly isLost: boolean
}

/** What an ear needs of its service. */
export interface Source {
  read(topics: readonly Topic[], after?: Position): Promise<RedisHistory>
  /** So far the log has been seen: if it once reaches less far, something was lost. */
  see(position: Position): void
  /** To how many connections an event was written, for the call `n` of the asker. */
  tell(asker: string, n: number, count: number): void
}

/** What an ear needs of its node. */
interface Body {
  topics(): Topic[]
  /** Sees to it that what is sent to its topics is said to it. */
  beSpokenTo(): Promise<void>
  /** Says the number to itself, through Redis. */
  echo(n: number): Promise<void>
  failed(error: unknown): void
}

/**
 * What a node hears of the log. What is said while nobody listens is lost, so after each break it is read; meanwhile what
 * is heard waits, and all goes on in the order of the numbers.
 */
export class RedisEar {
  readonly #service: Source
  readonly #node: ServiceNode
  readonly #body: Body
  /** All up to here was received; not there: it has not begun. */
  #position: Position | undefined
  /** What is heard while something is read. */
  #held: Heard[] | undefined
  #isReading = false
  /** Something may have been said, since the reading began, that was not heard: what is read would not join on. */
  #isBehind = false
  /** Not all of its topics are said to it: who went on with those that are would pass over the others. */
  #isBeginning = false
  /** How many events were said to it; not known after a break. */
  #said: number | undefined
  readonly #echoes = new Map<number, (isHeard: boolean) => void>()
  #echo = 0
  #isClosed = false

  constructor(service: Source, node: ServiceNode, body: Body) {
    this.#service = service
    this.#node = node
    this.#body = body
  }

  /** Its topics are said to it now. What was sent to them before is read, if it was there already. */
  begin({ epoch, seq, said }: Enlisted): void {
    this.#isBeginning = false
    if (this.#position !== undefined) return this.catchUp()
    this.#position = { epoch, seq }
    this.#said ??= said
  }

  /** It will begin once more: what is heard till then waits for what is read. */
  hold(): void {
    if (this.#position === undefined) return
    this.#isBeginning = true
    this.#held ??= []
  }

  /** The log is of this epoch now. */
  check(epoch: string): void {
    // Who is reading finds out by that, or by the next beat: it is not to begin again with each.
    if (!this.#isReading && this.#position !== undefined && this.#position.epoch !== epoch) this.catchUp()
  }

  /** `e {epoch} {number} {asker} {n} {how many events were said to it}`, and in the next line the event. */
  hear(text: string): void {
    const end = text.indexOf('\n')
    const [, epoch = '', seq, asker = '', n, said] = text.slice(0, end).split(' ')
    this.#count(Number(said) - 1, Number(said))
    const entry: Entry = { ...JSON.parse(text.slice(end + 1)), epoch, seq: Number(seq) }
    this.#service.see(entry)
    this.#take({ entry, asker, n: Number(n) })
  }

  /** `b {n} {how many events were said to it}` */
  hearEcho(text: string): void {
    const [, n, said] = text.split(' ').map(Number)
    this.#count(Number(said), Number(said))
    this.#echoes.get(Number(n))?.(true)
  }

  /** Something may have been said that it has not heard. From now on what is heard waits for what is read. */
  catchUp(): void {
    if (this.#position === undefined) return
    this.#isBehind = true
    this.#said = undefined
    // What it has just said to itself may be among that.
    for (const end of this.#echoes.values()) end(false)
    this.#held ??= []
    if (this.#isReading || this.#isBeginning) return
    this.#isReading = true
    void this.#readAll()
  }

  close(): void {
    this.#isClosed = true
  }

  /** @param before how many it should have heard by now: a line may break, and lose some, without a word */
  #count(before: number, said: number): void {
    if (this.#said !== undefined && this.#said !== before) this.catchUp()
    this.#said = said
  }

  #take(heard: Heard): void {
    const { entry } = heard
    if (this.#held === undefined && entry.epoch !== this.#position?.epoch) this.catchUp()
    if (this.#held !== undefined) this.#held.push(heard)
    else this.#receive(heard)
  }

  #receive({ entry, asker, n }: Heard): void {
    const { epoch, seq } = entry
    const isNew = epoch === this.#position?.epoch && seq > this.#position.seq
    if (isNew) this.#position = { epoch, seq }
    const count = isNew ? this.#node.receive(entry) : 0
    if (asker !== undefined && n !== undefined) this.#service.tell(asker, n, count)
  }

  async #readAll(): Promise<void> {
    while (this.#isBehind && !this.#isBeginning && !this.#isClosed) {
      try {
        await this.#body.beSpokenTo()
        this.#isBehind = false
        // It is heard from here on, …
        const missed = (await this.#hearsEcho()) ? await this.#readMissed() : undefined
        // … and all that was said before the reading has come.
        const isWhole = missed !== undefined && (await this.#hearsEcho())
        if (isWhole && !this.#isBehind && !this.#isBeginning) this.#receiveAll(missed)
        else this.#isBehind = true
      } catch (error) {
        this.#body.failed(error)
        this.#isBehind = true
        await new Promise((resolve) => setTimeout(resolve, PAUSE).unref())
      }
    }
    this.#isReading = false
    if (!this.#isBeginning) this.#held = undefined
  }

  async #readMissed(): Promise<Missed> {
    const from = this.#position ?? { epoch: '', seq: 0 }
    for (let after = from; ; ) {
      const read = await this.#readBehind(after)
      if (!read.isOver) return { ...read, from, isLost: after !== from }
      // Nobody can go on, but some have come since, and missed what was sent since.
      after = { epoch: read.place.epoch, seq: read.start }
    }
  }

  async #readBehind(after: Position): Promise<Read> {
    const read: Read = { place: after, start: 0, entries: new Map(), lost: [], isOver: false }
    const topics = this.#body.topics()
    const queue: Topic[][] = [topics.slice(0, AT_ONCE)]
    for (let at = AT_ONCE; at < topics.length; at += AT_ONCE) queue.push(topics.slice(at, at + AT_ONCE))
    for (let some = queue.shift(); some !== undefined && !read.isOver; some = queue.shift()) {
      const { epoch, head, start, entries, gap } = await this.#service.read(some, after)
      read.place = { epoch, seq: head }
      read.start = start
      read.isOver = gap === 'epoch'
      for (const entry of entries) read.entries.set(entry.seq, entry)
      if (gap === 'floor' && some.length > 1) queue.push(...some.map((topic) => [topic]))
      else if (gap === 'floor') read.lost.push(...some)
    }
    return read
  }

  #receiveAll(missed: Missed): void {
    const { from, place, start, lost, isLost } = missed
    if (isLost) this.#node.lost?.(place, 'epoch')
    if (lost.length > 0) this.#node.lost?.(place, 'floor', lost)
    const all = this.#merge(missed)
    this.#position = { epoch: place.epoch, seq: isLost ? start : from.seq }
    for (const heard of all) this.#receive(heard)
    if (this.#position.seq < place.seq) this.#position = place
  }

  /**
   * What was read and what was heard meanwhile, each once, in the order of the numbers. What was heard need not be among
   * what was read: somebody may have come since that was asked for.
   */
  #merge({ from, place, entries, isLost }: Missed): Heard[] {
    const all = new Map<number, Heard>(
      [...entries].map(([seq, entry]) => [seq, { entry: { ...entry, epoch: place.epoch } }]),
    )
    for (const heard of this.#held?.splice(0) ?? []) {
      const { seq, epoch } = heard.entry
      // The log that it was said of goes on as this one.
      const isSame = epoch === place.epoch || (!isLost && epoch === from.epoch)
      if (isSame) all.set(seq, { ...heard, entry: { ...heard.entry, epoch: place.epoch } })
      else this.#putBack(heard)
    }
    return [...all.values()].sort((a, b) => a.entry.seq - b.entry.seq)
  }

  /** Of a log that has begun after what was read, or had ended before: the next reading tells. */
  #putBack(heard: Heard): void {
    if (heard.isOld) return this.#receive(heard)
    this.#held?.push({ ...heard, isOld: true })
    this.#isBehind = true
  }

  /** @returns whether all that was said to this node before has been heard */
  async #hearsEcho(): Promise<boolean> {
    const n = ++this.#echo
    let timer: NodeJS.Timeout | undefined
    const heard = new Promise<boolean>((resolve) => {
      this.#echoes.set(n, resolve)
      timer = setTimeout(() => resolve(false), ECHO_TIME)
    })
    try {
      await this.#body.echo(n)
      return await heard
    } finally {
      clearTimeout(timer)
      this.#echoes.delete(n)
    }
  }
}
