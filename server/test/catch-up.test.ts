import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANN, type App, assertRefused, BOB, type Stream, serve, until } from './helpers'

async function leave(app: App, stream: Stream): Promise<void> {
  stream.leave()
  await until(async () => (await app.sse.getConnection(stream.id)) === undefined, 'the connection to be gone')
}

/** Comes back with these wishes, and waits for all that was missed. */
async function comeBack(app: App, left: Stream, catchUp: string): Promise<Stream> {
  const stream = await app.connect(ANN, String(new URLSearchParams({ lastEventId: left.cursor, catchUp })))
  assert.equal(stream.finish['recovered'], true)
  await stream.until(() => stream.events.length > Number(stream.finish['replayed']), 'the replay')
  return stream
}

const got = ({ events }: Stream) => events.slice(1).map(({ name, data }) => `${name} ${data}`)

/** Each `name key`; the data is its place. */
async function send(app: App, events: string[]): Promise<void> {
  for (const [place, [name = '', key]] of events.map((text) => text.split(' ')).entries())
    await app.sse.sendByUserId(1, name, place, key === undefined ? {} : { key })
}

test('a page that comes back gets of each event what it asked for, in the order of the log', async (t) => {
  const app = await serve(t)
  const before = await app.connect(ANN)
  await leave(app, before)
  await send(app, ['price tesla', 'chat', 'mail', 'price apple', 'log', 'chat', 'price tesla', 'mail', 'log'])
  const after = await comeBack(app, before, 'price:latest,mail:count,log:drop')
  assert.equal(after.finish['replayed'], 5, 'what follows, not what it stands for')
  assert.deepEqual(got(after), ['chat 1', 'price 3', 'chat 5', 'price 6', 'mail {"count":2}'])
  const ids = after.events.map(({ id }) => id)
  assert.ok(ids.every((id) => id !== ''))
  assert.equal(new Set(ids).size, ids.length)
  assert.deepEqual(got(await comeBack(app, after, 'price:latest,mail:count,log:drop')), [])
})

test('without a wish, and for other names, all events come', async (t) => {
  const app = await serve(t)
  const before = await app.connect(ANN)
  await leave(app, before)
  await send(app, ['a', 'a', 'b'])
  for (const wish of ['', 'a:all', 'x:drop', 'A:drop', 'a :drop', ',,x:latest,'])
    assert.deepEqual(got(await comeBack(app, before, wish)), ['a 0', 'a 1', 'b 2'], wish)
})

test('a name may hold a colon, also one that looks like a wish', async (t) => {
  const app = await serve(t)
  const before = await app.connect(ANN)
  await leave(app, before)
  await send(app, ['a:b', 'a:drop', 'a:b', 'a'])
  assert.deepEqual(got(await comeBack(app, before, 'a:b:latest')), ['a:drop 1', 'a:b 2', 'a 3'])
  assert.deepEqual(got(await comeBack(app, before, 'a:drop:drop')), ['a:b 0', 'a:b 2', 'a 3'])
  assert.deepEqual(got(await comeBack(app, before, 'a:drop')), ['a:b 0', 'a:drop 1', 'a:b 2'])
})

test('without a key all events of one name replace one another; keys of two names are two, a number is its text', async (t) => {
  const app = await serve(t)
  const before = await app.connect(ANN)
  await leave(app, before)
  await send(app, ['a', 'a', 'a k', 'b k', 'a k', 'b'])
  await app.sse.sendByUserId(1, 'c', 'number', { key: 7 })
  await app.sse.sendByUserId(1, 'c', 'text', { key: '7' })
  assert.deepEqual(got(await comeBack(app, before, 'a:latest,b:latest,c:latest')), [
    'a 1',
    'b 3',
    'a 4',
    'b 5',
    'c text',
  ])
  assert.deepEqual(
    got(await comeBack(app, before, 'a:count,b:count,c:count')),
    ['a {"count":4}', 'b {"count":2}', 'c {"count":2}'],
    'the key is nothing to a count',
  )
})

test('a wish that is none is refused with a sentence that names those there are', async (t) => {
  const app = await serve(t)
  for (const wish of ['a', 'a:', 'a:newest', 'a:LATEST', 'a:latest,b', 'a:latest ', ':', 'latest']) {
    const address = `/connect?${new URLSearchParams({ catchUp: wish })}`
    const refused = await app.call(address, { as: ANN })
    assertRefused(refused, 400)
    for (const policy of ['all', 'latest', 'count', 'drop']) assert.ok(refused.json.message.includes(policy))
  }
  assert.equal(await app.sse.getConnectionCount(), 0)
  const few = await serve(t, { maxListeners: 2 })
  assertRefused(await few.call('/connect?catchUp=a:all,b:all,c:all', { as: ANN }), 413)
})

test('live events are not subject to the wishes, also right behind a catch-up', async (t) => {
  const app = await serve(t)
  const before = await app.connect(ANN)
  await leave(app, before)
  const names = ['a', 'b', 'c', 'a', 'b', 'c']
  await send(app, names)
  const stream = await comeBack(app, before, 'a:latest,b:count,c:drop')
  await send(app, names)
  await stream.until(() => stream.events.length >= 9, 'the live events')
  assert.deepEqual(got(stream), ['a 3', 'b {"count":2}', 'a 0', 'b 1', 'c 2', 'a 3', 'b 4', 'c 5'])
})

test('everything that was missed may be dropped: then nothing was missed', async (t) => {
  const app = await serve(t)
  const before = await app.connect(ANN)
  await leave(app, before)
  await send(app, ['a', 'a'])
  const after = await comeBack(app, before, 'a:drop')
  assert.equal(after.finish['replayed'], 0)
  assert.notEqual(after.cursor, before.cursor, 'it is behind them now')
  assert.deepEqual(got(await comeBack(app, after, '')), [])
})

test('who is cut off amid a catch-up that counts is told each event once, also with new ones between', async (t) => {
  const app = await serve(t)
  let last = await app.connect(ANN)
  await leave(app, last)
  const all: string[] = []
  for (let round = 0; round < 4; round++) {
    for (let n = 0; n < 50; n++) await app.sse.sendByUserId(1, n % 5 === 0 ? 'chat' : 'mail', n)
    await app.sse.sendByUserId(1, 'chat', 'end')
    const stream = await comeBack(app, last, 'mail:count')
    // What a client has got that was cut off in the midst of it.
    stream.events.length = round === 3 ? stream.events.length : 1 + 3 * round
    all.push(...got(stream))
    last = stream
    await leave(app, stream)
  }
  const counts = all.filter((text) => text.startsWith('mail')).map((text) => JSON.parse(text.slice(5)).count)
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    160,
    String(counts),
  )
  assert.equal(all.filter((text) => text.startsWith('chat')).length, 44)
})

test('a wish is about names, whomever the events were for, and of no concern to others', async (t) => {
  const app = await serve(t)
  const [ann, bob] = [await app.connect(ANN), await app.connect(BOB)]
  await leave(app, ann)
  await app.sse.sendAll('a', 'all')
  await app.sse.sendByTenantId(3, 'a', 'tenant')
  await app.sse.sendByUserId(1, 'a', 'user')
  assert.deepEqual(got(await comeBack(app, ann, 'a:latest')), ['a user'])
  await bob.until(() => bob.dataOf('a').length === 2, 'both')
  assert.deepEqual(bob.dataOf('a'), ['all', 'tenant'])
})
