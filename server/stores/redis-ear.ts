import type { Position } from '../cursor'
import type { Entry, History, ServiceNode } from '../store'
import type { Topic } from '../topic'

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
}

/** What was sent and not heard. */
interface Missed {
  readonly from: Position
  /** Up to here. */
  place: Position
  /** By their numbers. */
  readonly entries: Map<number, Entry>
  /** The history of these does not reach back so far. */
  readonly lost: Topic[]
  /** The whole history is lost. */
  isLost: boolean
}

/** What an ear needs of its service. */
export interface Source {
  read(topics: readonly Topic[], after?: Position): Promise<History>
  /** So far the log has been seen: if it once reaches less far, something was lost. */
  see(position: Position): void
  /** To how many connections an event was written, for the call `n` of the asker. */
  tell(asker: string, n: number, count: number): void
}

/** What an ear needs of its node. */
interface Body {
  topics(): Topic[]
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
  #isBehind = false
  readonly #echoes = new Map<number, () => void>()
  #echo = 0
  #isClosed = false

  constructor(service: Source, node: ServiceNode, body: Body) {
    this.#service = service
    this.#node = node
    this.#body = body
  }

  /** Its topics are said to it now. What was sent to them before is read, if it was there already. */
  begin(place: Position): void {
    if (this.#position === undefined) this.#position = place
    else this.catchUp()
  }

  /** The log is of this epoch now. */
  check(epoch: string): void {
    if (this.#position !== undefined && this.#position.epoch !== epoch) this.catchUp()
  }

  /** `e {epoch} {number} {asker} {n}`, and in the next line the event. */
  hear(text: string): void {
    const end = text.indexOf('\n')
    const [, epoch = '', seq, asker = '', n] = text.slice(0, end).split(' ')
    const entry: Entry = { ...JSON.parse(text.slice(end + 1)), epoch, seq: Number(seq) }
    this.#service.see(entry)
    this.#take({ entry, asker, n: Number(n) })
  }

  echoed(n: number): void {
    this.#echoes.get(n)?.()
  }

  /** Something may have been said that it has not heard. */
  catchUp(): void {
    if (this.#position === undefined) return
    this.#isBehind = true
    if (this.#held !== undefined) return
    this.#held = []
    void this.#readAll()
  }

  close(): void {
    this.#isClosed = true
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
    while (this.#isBehind && !this.#isClosed) {
      this.#isBehind = false
      try {
        const missed = await this.#readMissed()
        // From now on all that is not among what was read was heard, or will be.
        await this.#hearEcho()
        this.#receiveAll(missed)
      } catch (error) {
        this.#body.failed(error)
        this.#isBehind = true
        await new Promise((resolve) => setTimeout(resolve, PAUSE).unref())
      }
    }
    this.#held = undefined
  }

  async #readMissed(): Promise<Missed> {
    const from = this.#position ?? { epoch: '', seq: 0 }
    const missed: Missed = { from, place: from, entries: new Map(), lost: [], isLost: false }
    const topics = this.#body.topics()
    const queue: Topic[][] = [topics.slice(0, AT_ONCE)]
    for (let at = AT_ONCE; at < topics.length; at += AT_ONCE) queue.push(topics.slice(at, at + AT_ONCE))
    for (let some = queue.shift(); some !== undefined && !missed.isLost; some = queue.shift()) {
      const { epoch, head, entries, gap } = await this.#service.read(some, from)
      missed.place = { epoch, seq: head }
      missed.isLost = gap === 'epoch'
      for (const entry of entries) missed.entries.set(entry.seq, entry)
      if (gap === 'floor' && some.length > 1) queue.push(...some.map((topic) => [topic]))
      else if (gap === 'floor') missed.lost.push(...some)
    }
    return missed
  }

  #receiveAll({ from, place, entries, lost, isLost }: Missed): void {
    const held = this.#held?.splice(0) ?? []
    if (isLost) this.#node.lost?.(place, 'epoch')
    else if (lost.length > 0) this.#node.lost?.(place, 'floor', lost)
    this.#position = { epoch: place.epoch, seq: isLost ? place.seq : from.seq }
    const asked = new Map(held.map((heard) => [heard.entry.seq, heard]))
    for (const entry of [...entries.values()].sort((a, b) => a.seq - b.seq))
      this.#receive({ ...asked.get(entry.seq), entry })
    this.#position = place
    for (const heard of held) {
      // Of a log that is no more, or that has begun since.
      if (heard.entry.epoch !== place.epoch) this.#isBehind = true
      if (!entries.has(heard.entry.seq)) this.#receive(heard)
    }
  }

  /** What was said to this node before has been heard when this has ended. */
  async #hearEcho(): Promise<void> {
    const n = ++this.#echo
    let timer: NodeJS.Timeout | undefined
    const heard = new Promise<void>((resolve, reject) => {
      this.#echoes.set(n, resolve)
      timer = setTimeout(() => reject(new Error('A node does not hear itself.')), ECHO_TIME)
    })
    try {
      await Promise.all([this.#body.echo(n), heard])
    } finally {
      clearTimeout(timer)
      this.#echoes.delete(n)
    }
  }
}
