import type { Random } from '../soak/random'
import type { Row } from './rows'
import type { Send } from './tab'

/** How requests go: many in one, each by itself, or now so, now so in the same lane. */
export type Manner = 'together' | 'alone' | 'mixed'

/** What is to be sent, before it is known who sends it. */
export type Draft = Omit<Send, 'key' | 'from' | 'n'>

export interface Amount {
  readonly sends: number
  readonly uploads: number
  /** So many shares are sent; a fault comes after each. */
  readonly rounds: number
}

const LANES = ['orders', 'votes', 'notes', 'prices']
/** Where files do not share a lane with other requests. */
const FILES = ['files', 'photos']

/** Each share of what is sent. */
export function planShares(random: Random, amount: Amount, manner: Manner, row: Row): Draft[][] {
  const { sends, uploads, rounds } = amount
  const { isExact = false, work = 15 } = row
  const isAlone = (): boolean => manner === 'alone' || (manner === 'mixed' && random.chance(0.5))
  const draftSend = (_: unknown, index: number): Draft => ({
    lane: LANES[index % LANES.length] as string,
    isAlone: isAlone(),
    isExact,
    work,
  })
  const draftUpload = (_: unknown, file: number): Draft => ({
    lane: random.pick(manner === 'mixed' ? LANES : FILES),
    isAlone: isAlone(),
    isExact,
    work,
    file,
  })
  const messages = Array.from({ length: sends }, draftSend)
  const forms = Array.from({ length: uploads }, draftUpload)
  const shareOf = (drafts: Draft[], round: number): Draft[] =>
    drafts.filter((_, index) => Math.floor((index * rounds) / drafts.length) === round)
  return Array.from({ length: rounds }, (_, round) => {
    const share = shareOf(messages, round)
    for (const form of shareOf(forms, round)) share.splice(random.whole(0, share.length), 0, form)
    return share
  })
}
