import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { crash, setStage } from './crash/crash'
import type { Effect, Line } from './crash/journal'
import { rowsOf } from './crash/rows'
import type { Outcome, Send } from './crash/tab'
import { judge, wrongIn } from './crash/verdict'

describe('the books of the crash table', () => {
  const sendOf = (n: number): Send => {
    const facts = { isAlone: false, isExact: false, work: 0, ...(n === 3 && { file: 0 }) }
    return { key: `k${n}`, lane: 'a', from: 0, n, ...facts }
  }
  const effectOf = (n: number, run = 'r', sha256 = n === 3 ? 'sha' : undefined): Effect => {
    const { key, lane, from } = sendOf(n)
    return { what: 'effect', run, user: 'u', key, lane, from, n, ...(sha256 && { sha256 }) }
  }
  const outcomes = new Map<string, Outcome | null>([1, 2, 3].map((n) => [`k${n}`, { what: 200, at: 10 * n }]))
  const wrong = (journal: Line[], more: object = {}, mayRepeat = false): string => {
    const facts = {
      sent: [1, 2, 3].map(sendOf),
      journal,
      outcomes,
      kept: [],
      troubles: [],
      shaOf: () => 'sha',
    }
    return wrongIn(judge({ ...facts, ...more }), mayRepeat).join('; ')
  }
  const [one, two, three] = [effectOf(1), effectOf(2), effectOf(3)]

  it('are in order if all came once, in order and whole', () => assert.equal(wrong([one, two, three]), ''))

  it('tell of what was lost, and that its place was passed', () =>
    assert.equal(wrong([one, three]), 'lost: k2; misordered: k3 after 1'))

  it('tell of a double one, and forgive it if its server died before its answer', () => {
    const death = (at: number): Line => ({ what: 'death', run: 'r', at })
    const again = (at: number): Line[] => [one, two, death(at), effectOf(2, 'next'), effectOf(3, 'next')]
    assert.equal(wrong(again(15)), 'twice: k2')
    assert.equal(wrong(again(15), {}, true), '')
    assert.equal(wrong(again(25), {}, true), 'twice: k2')
    assert.equal(wrong([one, two, two, three], {}, true), 'twice: k2; misordered: k2 after 2')
  })

  it('tell of a wrong order, and of a file that is not what it was', () => {
    assert.match(wrong([one, three, two]), /^misordered: k3 after 1/)
    assert.equal(wrong([one, two, effectOf(3, 'r', 'other')]), 'broken: k3')
  })

  it('tell of promises that were not kept, and of what was kept for ever', () => {
    const bad = new Map(outcomes).set('k1', { what: 503, at: 1 }).set('k2', null)
    const told = wrong([one, two, three], { outcomes: bad, kept: ['k9'], troubles: ['unkept'] })
    assert.equal(told, 'unwell: k1: 503, k2: not settled, unkept; kept: k9')
  })
})

const AMOUNT = { sends: 40, uploads: 4, rounds: 2 }

describe('what a page sends', () => {
  let stage: Awaited<ReturnType<typeof setStage>>
  before(async () => {
    stage = await setStage(AMOUNT.uploads)
  })
  after(() => stage.close())

  for (const row of rowsOf({ offline: 1000 })) {
    const how = row.atLeastOnce ? 'none lost and twice at most what was under way' : 'each once'
    it(`arrives in order and intact, ${how}, when ${row.name}`, async (test) => {
      const seed = randomInt(2 ** 32)
      test.diagnostic(`npm run crash -- --seed ${seed} --row "${row.name}" --sends 40 --uploads 4 --rounds 2`)
      assert.deepEqual(wrongIn(await crash(stage, row, AMOUNT, 'mixed', seed), row.atLeastOnce), [])
    })
  }
})
