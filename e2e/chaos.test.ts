import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { describe, it } from 'node:test'
import { chaos } from './chaos/chaos'

describe('300 clients of three nodes and two publishers, with a Redis and processes that die, hang and are cut off', () => {
  it('get everything that was accepted, nothing twice, and are told where data were destroyed', async () => {
    const seed = randomInt(2 ** 32)
    console.log(`seed ${seed}: npm run chaos -- --minutes 1 --seed ${seed}`)
    const { violations, figures } = await chaos({ seconds: 60, seed })
    console.log(JSON.stringify(figures))
    assert.equal(violations[0], undefined, `seed ${seed}: ${violations.length} violations, ${violations[0]}`)
    assert.ok(Number(figures['delivered']) > 1000, 'there was something to get')
  })
})
