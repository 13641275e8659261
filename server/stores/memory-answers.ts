import type { Claim, KnownKey } from '../store'
import { costOfAnswer } from './cost'
import type { Limits } from './limits'
import type { Answers } from './local-store'

interface Remembered extends Required<KnownKey> {
  readonly key: string
  readonly bytes: number
  /** ms since 1970 */
  readonly at: number
  readonly user: Share
  /** Those remembered just before and after it. */
  older?: Remembered | undefined
  newer?: Remembered | undefined
  newerOfUser?: Remembered
}

/** What is remembered of one user: never nothing. */
interface Share {
  readonly owner: string
  oldest?: Remembered | undefined
  newest?: Remembered
  count: number
  bytes: number
}

/** Which keys run, and what the others were answered: bounded, for each user and in all. The oldest answers go first. */
export class MemoryAnswers implements Answers {
  readonly #limits: Limits
  /** By the end of their leases, as far as these are equally long. */
  readonly #claims = new Map<string, Claim & { readonly until: number }>()
  readonly #answers = new Map<string, Remembered>()
  readonly #users = new Map<string, Share>()
  // A chain: the start of a Map from which much was deleted is slow to find.
  #oldest: Remembered | undefined
  #newest: Remembered | undefined
  #bytes = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  claim(key: string, claim: Claim, lease: number): KnownKey | undefined {
    const known = this.#find(key, claim)
    if (known !== undefined) return known
    // Deleted first, it stands last again.
    this.#claims.delete(key)
    this.#claims.set(key, { ...claim, until: Date.now() + lease })
    return undefined
  }

  remember(key: string, claim: Claim, answer: string): KnownKey | undefined {
    const known = this.#find(key, claim)
    if (known !== undefined) return known
    this.#claims.delete(key)
    const { fingerprint, owner } = claim
    const bytes = costOfAnswer(answer)
    // The others must not go for what does not fit either way.
    if (bytes > this.#limits.maxAnswerBytes) return undefined
    const user = this.#users.get(owner) ?? { owner, count: 0, bytes: 0 }
    this.#add({ key, fingerprint, answer, bytes, at: Date.now(), user })
    this.#trim()
    return undefined
  }

  release(key: string, { holder }: Claim): void {
    if (this.#claims.get(key)?.holder === holder) this.#claims.delete(key)
  }

  /** What stands in the way of this claim. */
  #find(key: string, { holder }: Claim): KnownKey | undefined {
    this.#trim()
    const remembered = this.#answers.get(key)
    if (remembered !== undefined) return { fingerprint: remembered.fingerprint, answer: remembered.answer }
    const claim = this.#claims.get(key)
    if (claim === undefined || claim.holder === holder || claim.until <= Date.now()) return undefined
    return { fingerprint: claim.fingerprint }
  }

  #trim(): void {
    const now = Date.now()
    for (const [key, { until }] of this.#claims) {
      if (until > now) break
      this.#claims.delete(key)
    }
    const { answerAge, maxAnswers, maxAnswerBytes, maxUserAnswers, maxUserAnswerBytes } = this.#limits
    const user = this.#newest?.user
    // The newest stays, however large: nobody else's go for it yet.
    while (user !== undefined && user.count > 1 && isBeyond(user, maxUserAnswers, maxUserAnswerBytes))
      this.#forgetOldestOf(user)
    for (let oldest = this.#oldest; oldest !== undefined; oldest = this.#oldest) {
      const all = { count: this.#answers.size, bytes: this.#bytes }
      if (!isBeyond(all, maxAnswers, maxAnswerBytes) && oldest.at >= now - answerAge) return
      // The oldest of all is the oldest of its user.
      this.#forgetOldestOf(oldest.user)
    }
  }

  #add(added: Remembered): void {
    const { key, bytes, user } = added
    this.#answers.set(key, added)
    this.#bytes += bytes
    added.older = this.#newest
    if (this.#newest === undefined) this.#oldest = added
    else this.#newest.newer = added
    this.#newest = added
    this.#users.set(user.owner, user)
    user.count++
    user.bytes += bytes
    if (user.newest === undefined) user.oldest = added
    else user.newest.newerOfUser = added
    user.newest = added
  }

  #forgetOldestOf(user: Share): void {
    const gone = user.oldest
    if (gone === undefined) return
    const { key, bytes, older, newer } = gone
    this.#answers.delete(key)
    this.#bytes -= bytes
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    user.count--
    user.bytes -= bytes
    user.oldest = gone.newerOfUser
    if (user.oldest === undefined) this.#users.delete(user.owner)
  }
}

function isBeyond(held: { count: number; bytes: number }, maxCount: number, maxBytes: number): boolean {
  return held.count > maxCount || held.bytes > maxBytes
}
