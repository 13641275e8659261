import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { wrap } from 'idb'
import type { Env } from '../env'
import type { Keeper, KeptRequest } from '../kept'
import { openKeeper } from '../outbox-store'
import { settle, watch } from './fake'
import { FakeOrigin, requestOf, SCOPE } from './fake-origin'

const unexpected = (reason: string): never => assert.fail(reason)

async function adoptKeys(keeper: Keeper, owner = 'anna'): Promise<string[]> {
  return (await keeper.adopt(owner, unexpected)).map(({ request }) => request.key)
}

async function adoptWithFaults(keeper: Keeper): Promise<{ keys: string[]; faults: string[] }> {
  const faults: string[] = []
  const adopted = await keeper.adopt('anna', (reason) => faults.push(reason))
  return { keys: adopted.map(({ request }) => request.key), faults }
}

describe('requests that are kept', () => {
  let origin: FakeOrigin
  beforeEach(() => {
    origin = new FakeOrigin()
  })

  it('come back after a crash, as they were and in the order they were put', async () => {
    const before = await origin.openTab()
    const requests = [
      requestOf('json', { body: '{"a":1}', query: 'b=%20', lane: 'x', createTime: 5, expiryTime: Infinity }),
      requestOf('form', {
        body: [
          ['name', 'Ä'],
          ['name', ''],
        ],
        upload: { id: 'u', boundary: 'b', isWhole: false },
      }),
      requestOf('bare', { body: '', query: '', headers: [], upload: undefined as never }),
    ]
    const ids = await Promise.all(requests.map((request) => before.keeper.put('anna', request)))
    before.crash()
    const after = await origin.openTab()
    const adopted = await after.keeper.adopt('anna', unexpected)
    assert.deepEqual(
      adopted,
      requests.map((request, i) => ({ id: ids[i], request })),
    )
  })

  it('are numbered in the order of the calls, although nobody waits in between', async () => {
    const { keeper } = await origin.openTab()
    const keys = Array.from({ length: 1000 }, (_, i) => `k${i}`)
    const ids = await Promise.all(keys.map((key) => keeper.put('anna', requestOf(key))))
    assert.deepEqual(
      ids,
      [...ids].sort((a, b) => a - b),
    )
    assert.equal(new Set(ids).size, 1000)
    keeper.close()
    const after = await origin.openTab()
    assert.deepEqual(await adoptKeys(after.keeper), keys)
  })

  it('stay with a tab that is seen, and go to another when it is hidden', async () => {
    const [first, second] = [await origin.openTab(), await origin.openTab()]
    await first.keeper.put('anna', requestOf('a'))
    assert.deepEqual(await adoptKeys(second.keeper), [])
    first.keeper.release()
    await settle()
    assert.deepEqual(await adoptKeys(second.keeper), ['a'])
    assert.deepEqual(await adoptKeys(second.keeper), [], 'each is handed out once')
    first.keeper.hold()
    await settle()
    assert.deepEqual(await adoptKeys(first.keeper), [], 'it is the other tab’s now')
    second.crash()
    assert.deepEqual(await adoptKeys(first.keeper), [], 'the first tab knows it: it has put it')
    first.crash()
    const third = await origin.openTab()
    assert.deepEqual(await adoptKeys(third.keeper), ['a'])
  })

  it('come from all tabs that are gone, in one order', async () => {
    const [first, second, third] = [await origin.openTab(), await origin.openTab(), await origin.openTab()]
    for (const [i, { keeper }] of [second, first, third, first, second].entries())
      await keeper.put('anna', requestOf(`k${i}`))
    first.crash()
    second.keeper.close()
    await settle()
    const last = await origin.openTab()
    assert.deepEqual(await adoptKeys(last.keeper), ['k0', 'k1', 'k3', 'k4'])
    third.crash()
    assert.deepEqual(await adoptKeys(last.keeper), ['k2'])
  })

  it('go to one tab only when two adopt at once', async () => {
    const dead = await origin.openTab()
    for (let i = 0; i < 20; i++) await dead.keeper.put('anna', requestOf(`k${i}`))
    dead.crash()
    const [first, second] = [await origin.openTab(), await origin.openTab()]
    const both = await Promise.all([adoptKeys(first.keeper), adoptKeys(second.keeper)])
    assert.deepEqual(both.map(({ length }) => length).sort(), [0, 20])
  })

  it('go to one call only when a tab adopts twice at once', async () => {
    const dead = await origin.openTab()
    await dead.keeper.put('anna', requestOf('a'))
    dead.crash()
    const { keeper } = await origin.openTab()
    const both = await Promise.all([adoptKeys(keeper), adoptKeys(keeper)])
    assert.deepEqual(both.flat(), ['a'])
  })

  it('are seen neither by another user nor by another service', async () => {
    const dead = await origin.openTab()
    await dead.keeper.put('anna', requestOf('a'))
    await dead.keeper.put('anna2', requestOf('b'))
    await dead.keeper.put('', requestOf('c'))
    dead.crash()
    const elsewhere = await origin.openTab('/sse/hr2')
    assert.deepEqual(await adoptKeys(elsewhere.keeper), [])
    const { keeper } = await origin.openTab()
    assert.deepEqual(await adoptKeys(keeper, 'ann'), [])
    assert.deepEqual(await adoptKeys(keeper, ''), ['c'])
    assert.deepEqual(await adoptKeys(keeper, 'anna2'), ['b'])
    assert.deepEqual(await adoptKeys(keeper), ['a'])
  })

  it('are changed and removed, also by a tab that they were taken from; what is gone stays gone', async () => {
    const [first, second] = [await origin.openTab(), await origin.openTab()]
    const ids = await Promise.all(['a', 'b'].map((key) => first.keeper.put('anna', requestOf(key))))
    const [a = 0, b = 0] = ids
    first.keeper.release()
    await settle()
    assert.deepEqual(await adoptKeys(second.keeper), ['a', 'b'])
    const upload = { id: 'u', boundary: 'x', isWhole: true }
    await first.keeper.update(a, requestOf('a', { upload }))
    await first.keeper.remove(b)
    await first.keeper.remove(b)
    await first.keeper.update(b, requestOf('b'))
    second.crash()
    const third = await origin.openTab()
    assert.deepEqual(await third.keeper.adopt('anna', unexpected), [
      { id: a, request: requestOf('a', { upload }) },
    ])
    await third.keeper.remove(a)
    assert.equal(await origin.raw((database) => database.count('bodies')), 0, 'nothing is left behind')
  })

  it('are the other tab’s although they have a number that was ours, in a database before', async () => {
    const first = await origin.openTab()
    const id = await first.keeper.put('anna', requestOf('old'))
    await wrap(origin.indexedDB.deleteDatabase('tabwire'))
    const second = await origin.openTab()
    assert.equal(await second.keeper.put('anna', requestOf('new')), id)
    second.crash()
    assert.deepEqual(await adoptKeys(first.keeper), ['new'])
  })
})

describe('a kept request that cannot be read', () => {
  let origin: FakeOrigin
  beforeEach(async () => {
    origin = new FakeOrigin()
    const { keeper, crash } = await origin.openTab()
    await keeper.put('anna', requestOf('first'))
    crash()
  })
  const place = { scope: SCOPE, owner: 'anna', session: 'x' }
  const ABSENT = Symbol('absent')

  async function write(record: object, body: unknown = ''): Promise<void> {
    await origin.raw(async (database) => {
      const id = await database.add('requests', record)
      if (body !== ABSENT) await database.add('bodies', body, id)
    })
  }
  async function writeLast(): Promise<void> {
    const { keeper, crash } = await origin.openTab()
    await keeper.put('anna', requestOf('last'))
    crash()
  }

  const { body: _, ...good } = requestOf('bad')
  const CASES: [what: string, record: object, body?: unknown][] = [
    ['null', { ...place, request: null }],
    ['a text', { ...place, request: 'text' }],
    ['a list', { ...place, request: [1, 2] }],
    ['nothing', place],
    ...Object.keys(good).flatMap((name): [string, object][] => [
      [`no ${name}`, { ...place, request: { ...good, [name]: undefined } }],
      [`a wrong ${name}`, { ...place, request: { ...good, [name]: { a: 1 } } }],
    ]),
    ['a header that is no pair', { ...place, request: { ...good, headers: [['a']] } }],
    ['a header that is a number', { ...place, request: { ...good, headers: [['a', 1]] } }],
    ['a time that is no number', { ...place, request: { ...good, expiryTime: Number.NaN } }],
    ['a wrong upload', { ...place, request: { ...good, upload: { id: 1, boundary: 'b' } } }],
    ['no body', { ...place, request: good }, ABSENT],
    ['null as a body', { ...place, request: good }, null],
    ['a field that is no text', { ...place, request: good }, [['a', 1]]],
    ['a field without a name', { ...place, request: good }, ['a']],
    ['a number that is none', { ...place, id: 'x', request: good }],
    ['no owner', { ...place, owner: undefined, request: good }],
    ['an owner that is no key', { ...place, owner: { a: 1 }, request: good }],
    ['no place at all', {}],
  ]
  for (const [what, record, body] of CASES)
    it(`is forgotten and reported once, and the others come: ${what}`, async () => {
      await write(record, body)
      await writeLast()
      const { keeper } = await origin.openTab()
      const { keys, faults } = await adoptWithFaults(keeper)
      assert.deepEqual(keys, ['first', 'last'])
      assert.equal(faults.length, 1)
      assert.match(faults[0] ?? '', /^request (2|x): (wrong (\w+)|belongs to nobody)$/)
      assert.deepEqual(await adoptWithFaults(keeper), { keys: [], faults: [] })
      assert.equal(await origin.raw((database) => database.count('bodies')), 2)
    })

  it('comes if it only has more than we know, or a session that we would not write', async () => {
    await write({ ...place, junk: 1, request: { ...good, junk: { deep: [] } } })
    await write({ ...place, session: 7, request: good })
    await write({ ...place, session: ['x'], request: good })
    const { keeper } = await origin.openTab()
    assert.deepEqual(await adoptKeys(keeper), ['first', 'bad', 'bad', 'bad'])
  })

  const { get } = IDBObjectStore.prototype
  afterEach(() => {
    IDBObjectStore.prototype.get = get
  })
  /** Reading the first body fails, as of a file on the disk. */
  function failReading(name: string): void {
    IDBObjectStore.prototype.get = function (this: IDBObjectStore, id) {
      if (this.name !== 'bodies' || id !== 1) return get.call(this, id)
      const operation = (): never => {
        throw new DOMException('', name)
      }
      const transaction = this.transaction as unknown as {
        _execRequestAsync(job: object): IDBRequest
      }
      return transaction._execRequestAsync({ operation, source: this })
    }
  }

  it('is forgotten when its file on the disk is lost, and the others come', async () => {
    await writeLast()
    failReading('NotReadableError')
    const { keeper } = await origin.openTab()
    assert.deepEqual(await adoptWithFaults(keeper), { keys: ['last'], faults: ['request 1: wrong body'] })
    assert.equal(await origin.raw((database) => database.count('requests')), 1)
  })

  it('comes later when the disk fails only for now, and the others come now', async () => {
    await writeLast()
    failReading('UnknownError')
    const { keeper } = await origin.openTab()
    assert.deepEqual(await adoptWithFaults(keeper), { keys: ['last'], faults: [] })
    IDBObjectStore.prototype.get = get
    assert.deepEqual(await adoptWithFaults(keeper), { keys: ['first'], faults: [] })
  })
})

describe('a request that cannot be kept', () => {
  let origin: FakeOrigin
  beforeEach(() => {
    origin = new FakeOrigin()
  })
  const { add } = IDBObjectStore.prototype
  afterEach(() => {
    IDBObjectStore.prototype.add = add
  })

  for (const when of ['on writing', 'at the end'])
    it(`is told so when the disk is full, and the others are kept: the browser sees it ${when}`, async () => {
      const { keeper, crash } = await origin.openTab()
      await keeper.put('anna', requestOf('before'))
      IDBObjectStore.prototype.add = function (this: IDBObjectStore, value, id) {
        const request = add.call(this, value, id)
        const transaction = this.transaction as unknown as { _abort(name: string): void }
        const fail = (): void => transaction._abort('QuotaExceededError')
        if (value === 'huge' && when === 'on writing') fail()
        else if (value === 'huge') request.addEventListener('success', fail)
        return request
      }
      const huge = keeper.put('anna', requestOf('huge', { body: 'huge' }))
      const small = keeper.put('anna', requestOf('small'))
      await assert.rejects(huge, { name: 'QuotaExceededError' })
      await small
      crash()
      const { keeper: next } = await origin.openTab()
      assert.deepEqual(await adoptKeys(next), ['before', 'small'])
    })

  it('is told so when it holds what cannot be copied, and the others are kept', async () => {
    const { keeper, crash } = await origin.openTab()
    const bad = { body: [['a', () => {}]] } as unknown as Partial<KeptRequest>
    const worse = { headers: () => {} } as unknown as Partial<KeptRequest>
    const puts = [{}, bad, {}, worse, {}].map((members, i) => keeper.put('anna', requestOf(`k${i}`, members)))
    const outcomes = await Promise.allSettled(puts)
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.name : 'kept')),
      ['kept', 'DataCloneError', 'kept', 'DataCloneError', 'kept'],
    )
    crash()
    const { keeper: next } = await origin.openTab()
    assert.deepEqual(await adoptKeys(next), ['k0', 'k2', 'k4'])
    assert.equal(await origin.raw((database) => database.count('bodies')), 3)
  })
})

describe('a tab that holds what it has put', () => {
  let origin: FakeOrigin
  beforeEach(() => {
    origin = new FakeOrigin()
  })

  const ORDERS: [calls: ('hold' | 'release' | 'close')[], isSeen: boolean][] = [
    [['hold', 'hold'], true],
    [['release'], false],
    [['hold', 'release'], false],
    [['hold', 'release', 'hold'], true],
    [['hold', 'hold', 'release', 'release', 'hold', 'hold'], true],
    [['release', 'hold', 'release', 'hold', 'release'], false],
    [['hold', 'close'], false],
    [['close', 'hold'], false],
    [['close', 'release', 'hold', 'close'], false],
  ]
  for (const [calls, isSeen] of ORDERS)
    it(`is ${isSeen ? 'seen' : 'not seen'} after ${calls.join(', ')}`, async () => {
      const { keeper, session } = await origin.openHidden()
      for (const call of calls) keeper[call]()
      const expected = isSeen ? [`tabwire-tab:${session}`] : []
      await settle()
      assert.deepEqual(origin.locks.names, expected, 'called in one turn')
      for (const call of calls) {
        keeper[call]()
        await settle()
      }
      assert.deepEqual(origin.locks.names, expected, 'called one by one')
    })

  it('asks again when the browser refused it, as it does while a page is being left', async () => {
    const { keeper, locks } = await origin.openHidden()
    locks.isRefused = true
    keeper.hold()
    await settle()
    locks.isRefused = false
    keeper.hold()
    await settle()
    assert.equal(origin.locks.names.length, 1)
  })
})

describe('a keeper that is closed', () => {
  it('ends what was begun, refuses what comes, and disturbs nobody', async () => {
    const origin = new FakeOrigin()
    const { keeper } = await origin.openTab()
    const id = await keeper.put('anna', requestOf('removed'))
    const begun = [keeper.remove(id), keeper.put('anna', requestOf('begun'))]
    keeper.close()
    keeper.close()
    await Promise.all(begun)
    await assert.rejects(keeper.put('anna', requestOf('late')), /closed/)
    await keeper.update(id, requestOf('late'))
    await keeper.remove(id + 1)
    assert.deepEqual(await adoptKeys(keeper), [])
    await wrap(origin.indexedDB.open('tabwire', 2))
  })

  it('loses nothing of what it was just taking over', async () => {
    const origin = new FakeOrigin()
    const dead = await origin.openTab()
    await dead.keeper.put('anna', requestOf('a'))
    dead.crash()
    for (let turns = 0; turns < 30; turns++) {
      const { keeper } = await origin.openTab()
      const adopting = watch(adoptKeys(keeper))
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      const expected = adopting.value ?? []
      keeper.close()
      await settle()
      await settle()
      assert.deepEqual(adopting.value, expected, `closed after ${turns} turns`)
      await settle()
      const next = await origin.openTab()
      assert.deepEqual(await adoptKeys(next.keeper), ['a'], `closed after ${turns} turns`)
      next.crash()
    }
  })
})

describe('the database of kept requests', () => {
  let origin: FakeOrigin
  beforeEach(() => {
    origin = new FakeOrigin()
  })
  function open(version: number, upgrade: (database: IDBDatabase) => void = () => {}): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const request = origin.indexedDB.open('tabwire', version)
      request.onupgradeneeded = () => upgrade(request.result)
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
  }
  const withEnv = (members: object): Env => ({ ...origin.env(), ...members }) as Env

  it('is refused without IndexedDB, without locks, and where the user forbids it', async () => {
    await assert.rejects(openKeeper(withEnv({ indexedDB: undefined }), SCOPE), /IndexedDB/)
    await assert.rejects(openKeeper(withEnv({ navigator: {} }), SCOPE), /https/)
    const forbidden = Object.defineProperty(withEnv({}), 'indexedDB', {
      get: () => {
        throw new DOMException('', 'SecurityError')
      },
    })
    await assert.rejects(openKeeper(forbidden, SCOPE), { name: 'SecurityError' })
    assert.equal(origin.clock.countTimers(), 0)
  })

  it('is refused when it does not open within 5 s, and is let go when it opens at last', async () => {
    const old = await open(1)
    const deleting = wrap(origin.indexedDB.deleteDatabase('tabwire'))
    const opening = watch(openKeeper(origin.env(), SCOPE))
    await origin.clock.tickAsync(4999)
    assert.equal(opening.state, 'pending')
    await origin.clock.tickAsync(1)
    assert.match(opening.error?.message ?? '', /5000 ms/)
    const { close } = IDBDatabase.prototype
    const closed: IDBDatabase[] = []
    IDBDatabase.prototype.close = function (this: IDBDatabase) {
      closed.push(this)
      close.call(this)
    }
    old.close()
    await deleting
    for (let turn = 0; closed.length < 2 && turn < 20; turn++) await settle()
    IDBDatabase.prototype.close = close
    assert.equal(closed.length, 2)
    assert.equal(origin.clock.countTimers(), 0)
  })

  it('is refused when newer code made it, or something else', async () => {
    const make = async (version: number, upgrade: (database: IDBDatabase) => void): Promise<void> => {
      await wrap(origin.indexedDB.deleteDatabase('tabwire'))
      ;(await open(version, upgrade)).close()
    }
    await make(2, () => {})
    await assert.rejects(openKeeper(origin.env(), SCOPE), { name: 'VersionError' })
    await make(1, () => {})
    await assert.rejects(openKeeper(origin.env(), SCOPE), { name: 'NotFoundError' })
    await make(1, (database) => {
      database.createObjectStore('bodies')
      database.createObjectStore('requests')
    })
    await assert.rejects(openKeeper(origin.env(), SCOPE), { name: 'NotFoundError' })
    await make(1, (database) => {
      database.createObjectStore('bodies')
      database.createObjectStore('requests').createIndex('place', 'session')
    })
    await assert.rejects(openKeeper(origin.env(), SCOPE), /something else/)
    await wrap(origin.indexedDB.deleteDatabase('tabwire'))
    assert.equal(origin.clock.countTimers(), 0)
  })

  it('may be deleted by another tab at any time; what is put then is kept in a new one', async () => {
    const { keeper, crash } = await origin.openTab()
    await keeper.put('anna', requestOf('old'))
    await wrap(origin.indexedDB.deleteDatabase('tabwire'))
    await Promise.all(['a', 'b'].map((key) => keeper.put('anna', requestOf(key))))
    crash()
    const { keeper: next } = await origin.openTab()
    assert.deepEqual(await adoptKeys(next), ['a', 'b'])
  })

  it('may be upgraded by newer code at any time; then the older tab is told that it keeps nothing', async () => {
    const { keeper } = await origin.openTab()
    const id = await keeper.put('anna', requestOf('a'))
    const upgraded = await open(2)
    for (const attempt of [1, 2])
      await assert.rejects(keeper.put('anna', requestOf('b')), { name: 'VersionError' }, String(attempt))
    await assert.rejects(keeper.remove(id), { name: 'VersionError' })
    await assert.rejects(keeper.adopt('anna', unexpected), { name: 'VersionError' })
    upgraded.close()
    keeper.close()
  })

  it('is opened anew when the connection has died without a word', async () => {
    const { keeper } = await origin.openTab()
    const { transaction } = IDBDatabase.prototype
    let dead: IDBDatabase | undefined
    IDBDatabase.prototype.transaction = function (this: IDBDatabase, ...args) {
      dead ??= this
      if (dead === this) throw new DOMException('Connection to the server is lost.', 'InvalidStateError')
      return transaction.apply(this, args)
    }
    try {
      const ids = await Promise.all(['a', 'b'].map((key) => keeper.put('anna', requestOf(key))))
      assert.deepEqual(ids, [1, 2])
    } finally {
      IDBDatabase.prototype.transaction = transaction
    }
  })
})
