import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { play, setStage, wrongIn } from './qos/qos'
import { ROWS, type Row } from './qos/rows'

describe('the verdict on a row of the table', () => {
  const row: Row = { name: 'a row', run: async () => {} }
  const well = { shown: [1, 0], outcomes: [1], held: [1, 0], sent: 2, seconds: 1 }

  it('is good if the message was shown once, acknowledged, and is held no more', () =>
    assert.deepEqual(wrongIn(row, well), []))

  it('tells of one that was shown twice, or by the wrong page, or not at all', () => {
    assert.deepEqual(wrongIn(row, { ...well, shown: [1, 1] }), ['shown 1 + 1 times'])
    assert.deepEqual(wrongIn(row, { ...well, shown: [0] }), ['shown 0 times'])
    assert.deepEqual(wrongIn({ ...row, shown: 2 }, { ...well, shown: [2, 0] }), ['shown 2 + 0 times'])
  })

  it('tells of a promise that came out otherwise, if that is certain', () => {
    const died = { ...well, outcomes: ['died' as const] }
    assert.deepEqual(wrongIn(row, died), ['the promise: died'])
    assert.deepEqual(wrongIn({ ...row, outcomes: ['died'] }, died), [])
    assert.deepEqual(wrongIn({ ...row, outcomes: undefined }, died), [])
  })

  it('tells of a message that is held for ever', () =>
    assert.deepEqual(wrongIn(row, { ...well, held: [0, 1] }), ['held in the end: 1']))
})

/** Killed now and then, not in a row: a server that is to take its place needs a moment to be ready. */
function spread(rows: readonly Row[]): Row[] {
  const kills = rows.filter(({ kills }) => kills)
  const others = rows.filter(({ kills }) => !kills)
  return [...others.flatMap((row, at) => [row, ...(at % 2 ? [] : kills.splice(0, 1))]), ...kills]
}

describe('a message that is to be acknowledged is shown once by each page that is there, and held no more, when', () => {
  let stage: Awaited<ReturnType<typeof setStage>>
  before(async () => {
    stage = await setStage('sqlite')
  })
  after(() => stage.close())

  for (const row of spread(ROWS))
    it(row.name, async (test) => {
      const seed = randomInt(2 ** 32)
      test.diagnostic(`npm run qos -- --seed ${seed} --row "${row.name}" --rounds 1`)
      assert.deepEqual(wrongIn(row, await play(stage, row, seed)), [])
    })
})
