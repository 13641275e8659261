/** A send, as its publisher tells of it. */
interface Send {
  readonly user: number
  readonly isSure: boolean
  /** When it began, ms since 1970. */
  readonly at: number
  readonly publisher: string
  isAccepted: boolean
  isRefused: boolean
  count?: number
}

/** What one client was shown. */
interface Shown {
  readonly ids: Set<string>
  /** The last plain one of each sender. */
  readonly last: Map<string, number>
  /** When it was told of gaps, ms since 1970. */
  readonly gaps: number[]
}

export type Violate = (what: string) => void

/** All that was sent, all that was shown, and whether the one is what must come of the other. */
export class Books {
  readonly sends = new Map<string, Send>()
  /** When data were destroyed: from the fault on. ms since 1970 */
  readonly wipes: number[] = []
  readonly #shown: readonly Shown[]
  readonly #violate: Violate
  gaps = 0
  delivered = 0

  constructor(users: number, violate: Violate) {
    this.#violate = violate
    this.#shown = Array.from({ length: users }, () => ({ ids: new Set(), last: new Map(), gaps: [] }))
  }

  begun(id: string, facts: Pick<Send, 'user' | 'isSure' | 'at' | 'publisher'>): void {
    this.sends.set(id, { ...facts, isAccepted: false, isRefused: false })
  }

  accepted(id: string): void {
    const send = this.sends.get(id)
    if (send) send.isAccepted = true
  }

  refused(id: string): void {
    const send = this.sends.get(id)
    if (send) send.isRefused = true
  }

  settled(id: string, count: number): void {
    const send = this.sends.get(id)
    if (send) send.count = count
  }

  shown(user: number, id: string, isSure: boolean): void {
    const shown = this.#of(user)
    this.delivered++
    if (shown.ids.has(id)) return this.#violate(`double: ${id} to user ${user}`)
    shown.ids.add(id)
    const sent = this.sends.get(id)
    if (sent && sent.user !== user) this.#violate(`wrong: ${id} was for user ${sent.user}, not ${user}`)
    if (isSure) return
    const [sender, n] = [id.slice(0, id.lastIndexOf('-')), Number(id.slice(id.lastIndexOf('-') + 1))]
    if (n <= (shown.last.get(sender) ?? 0)) this.#violate(`misordered: ${id} to user ${user}`)
    shown.last.set(sender, n)
  }

  gap(user: number, reason: string): void {
    this.gaps++
    const { gaps } = this.#of(user)
    gaps.push(Date.now())
    if (reason !== 'epoch') this.#violate(`wrong: a gap of user ${user} for ${reason}`)
    if (gaps.length > this.wipes.length)
      this.#violate(`wrong: a gap of user ${user}, and nothing was destroyed`)
  }

  /** A publisher was killed: what it had not been told of nobody can ask for. */
  orphaned(publisher: string): void {
    for (const send of this.sends.values())
      if (send.publisher === publisher && send.isSure && send.count === undefined) send.isAccepted = false
  }

  /** What has not come, though it must. */
  missing(): string[] {
    return [...this.sends].flatMap(([id, send]) => this.#missingOf(id, send))
  }

  /** Who was not told that data were destroyed. */
  untold(): number[] {
    const lastWipe = this.wipes.at(-1) ?? 0
    return this.#shown.flatMap(({ gaps }, user) =>
      lastWipe > 0 && (gaps.at(-1) ?? 0) < lastWipe ? user : [],
    )
  }

  #missingOf(id: string, { user, isSure, isAccepted, isRefused, count, at }: Send): string[] {
    if (!isAccepted || isRefused) return []
    const { ids, gaps } = this.#of(user)
    if (isSure && count === undefined) return [`the promise of ${id} to user ${user} is open`]
    if (ids.has(id)) return []
    // A gap is told of all that was sent before it. A message that is acknowledged is sent again also then.
    const isExcused =
      !isSure && gaps.some((gap) => at < gap && this.wipes.some((wipe) => wipe < gap && at < gap))
    const facts = JSON.stringify({ isSure, count, at, gaps, wipes: this.wipes })
    return isExcused ? [] : [`lost: ${id} to user ${user} ${facts}`]
  }

  #of(user: number): Shown {
    const shown = this.#shown[user]
    if (shown === undefined) throw new RangeError(`There is no user ${user}.`)
    return shown
  }
}
