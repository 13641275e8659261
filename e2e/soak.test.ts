import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { beforeEach, describe, it } from 'node:test'
import { Ledger } from './soak/ledger'
import { LogPlaces } from './soak/log-places'
import { soak } from './soak/soak'
import { Tally } from './soak/tally'

describe('the books of a client in the soak', () => {
  let tally: Tally
  let found: string[]
  let ledger: Ledger

  beforeEach(() => {
    tally = new Tally()
    found = []
    const places = new LogPlaces()
    places.begin('a', 0)
    places.begin('b', 10)
    const catchUp = { ticker: 'latest', mail: 'count', typing: 'drop' } as const
    ledger = new Ledger(catchUp, places, tally, (what) => found.push(what))
    ledger.greeted({}, 'a-0')
  })

  const due = (n: number, name = 'order', key = ''): void => ledger.expect({ n, name, key })
  const live = (n: number, name = 'order', lastEventId = `a-${n}`): void =>
    ledger.arrived({ name, lastEventId, replayed: false, data: { n } })
  const missed = (n: number, name = 'order', lastEventId = `a-${n}`): void =>
    ledger.arrived({ name, lastEventId, replayed: true, data: { n } })
  const back = (replayed: number, lastEventId: string): void =>
    ledger.greeted({ recovered: true, replayed }, lastEventId)

  it('are in order if all comes, live and replayed, by each policy', () => {
    for (const n of [1, 2]) due(n)
    live(1)
    due(3, 'ticker', 'x')
    due(4, 'mail')
    due(5, 'typing')
    due(6, 'mail')
    due(7, 'ticker', 'x')
    back(3, 'a-1')
    missed(2)
    ledger.arrived({ name: 'mail', lastEventId: 'a-6-1-7', replayed: true, data: { count: 2 } })
    missed(7, 'ticker')
    due(8, 'typing')
    live(8, 'typing')
    assert.deepEqual(found, [])
    assert.equal(tally.open, 0)
  })

  it('tell of a hole', () => {
    for (const n of [1, 2]) due(n)
    live(2)
    assert.match(found.join(), /^lost: 1/)
  })

  it('tell of what the server says was not there', () => {
    due(1)
    back(0, 'a-1')
    assert.match(found.join(), /^lost: 1/)
  })

  it('tell of a double one, of a wrong order, and of what is for others', () => {
    for (const n of [1, 2]) due(n)
    live(1)
    live(1)
    live(3)
    live(2)
    assert.match(found.join('; '), /^double: 1.*; wrong: 3 is not for.*; misordered: 2/)
  })

  it('tell of a policy on what is live', () => {
    due(1, 'typing')
    due(2)
    live(2)
    assert.match(found.join(), /^lost: 1 \(typing\)/)
  })

  it('tell of a count that is wrong, and of a newest one that is missing', () => {
    for (const n of [1, 2]) due(n, 'mail')
    due(3, 'ticker', 'x')
    due(4)
    back(2, 'a-0')
    ledger.arrived({ name: 'mail', lastEventId: 'a-2-0-4', replayed: true, data: { count: 1 } })
    missed(4)
    assert.match(found.join('; '), /mail counts 1, but there were 2.*; lost: 3 \(ticker, key x\)/)
  })

  it('take a gap for what it is, once, and only where the log is another one', () => {
    due(1)
    ledger.greeted({ recovered: false, reason: 'epoch' }, 'b-0')
    ledger.gap()
    assert.deepEqual(found, [])
    ledger.gap()
    ledger.greeted({ recovered: false, reason: 'epoch' }, 'b-0')
    assert.match(found.join('; '), /^wrong: a gap without a cause.*; wrong: recovered is false/)
  })
})

describe('300 clients on bad lines, with a server that comes and goes', () => {
  it('get everything that is for them, and nothing twice, for 15 seconds or more', async () => {
    const seed = randomInt(2 ** 32)
    console.log(`seed ${seed}: npm run soak -- --minutes 0.25 --seed ${seed}`)
    const { tally, violations } = await soak({ seconds: 15, clients: 300, seed, atLeast: 10_000 })
    console.log(String(tally))
    assert.equal(violations[0], undefined, `seed ${seed}: ${violations[0]}`)
    assert.ok(tally.delivered > 10_000 && tally.replayed > 100, 'there was something to get')
  })
})
