import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANN, type App, BOB, serve, until } from './helpers'
import {
  acking,
  caughtUp,
  changeListeners,
  isOpen,
  join,
  messagesOf,
  outcomeOf,
  pendingIn,
  report,
  unreliableStore,
} from './qos-client'

const SOON = { ackTimeout: 40 }
const gone = (app: App, id: number) => until(async () => !(await app.sse.isOnline(id)), 'the user to be gone')
const failuresOf = ({ errors }: App) => new Set(errors.map(({ error }) => (error as Error).message))

for (const acks of ['1', '0']) {
  test(`sent while a ${acks === '1' ? 'client' : 'plain client'} is coming, it is not taken for written before it is`, async (t) => {
    const { store, slow, calls, heal } = unreliableStore()
    const app = await serve(t, { store })
    slow.add('read')
    const coming = app.connect(ANN, acking({ acks, clientInstanceId: 'new' }))
    await until(() => calls.length === 1, 'the read')
    // The log is read behind this one, and whoever begins there is not told what was before.
    const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
    await until(() => pendingIn(store).then(({ length }) => length === 1), 'the message to be held')
    assert.equal(await isOpen(sent), true)
    heal()
    const stream = await coming
    await stream.next('m')
    await caughtUp(app, stream)
    assert.deepEqual(messagesOf(stream), [sent.messageId], 'once')
    if (acks === '1') {
      assert.equal(await isOpen(sent), true)
      await report(app, ANN, stream, stream.cursor)
    }
    assert.equal(await outcomeOf(sent), 1)
  })

  test(`sent while a ${acks === '1' ? 'client' : 'plain client'} is coming that never arrives, it goes on waiting`, async (t) => {
    const { store, slow, failing, calls, heal } = unreliableStore()
    const app = await serve(t, { store })
    slow.add('read')
    const coming = app.call(`/connect?${acking({ acks })}`, { as: ANN })
    await until(() => calls.length === 1, 'the read')
    const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
    failing.add('read')
    for (const call of calls.splice(0)) call.go()
    assert.equal((await coming).status, 503)
    assert.equal(await isOpen(sent), true)
    heal()
    const stream = await join(app, ANN)
    assert.equal(await stream.next('m'), 'x')
  })
}

test('a message that cannot be kept, or not be sent, is refused, and nobody gets it later', async (t) => {
  for (const name of ['hold', 'append'] as const) {
    const { store, failing, heal } = unreliableStore()
    const app = await serve(t, { store })
    failing.add(name)
    const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
    await assert.rejects(outcomeOf(sent), { message: `${name} fails` })
    heal()
    assert.deepEqual(await pendingIn(store), [])
    const stream = await join(app, ANN)
    await caughtUp(app, stream)
    assert.deepEqual(messagesOf(stream), [])
    assert.deepEqual(
      app.errors.map(({ where }) => where),
      ['qos()'],
      'also if nobody waits for the promise',
    )
  }
})

test('an acknowledgement that the store does not take is asked for again', async (t) => {
  const { store, failing, heal } = unreliableStore()
  const app = await serve(t, { store, ...SOON })
  const stream = await join(app, ANN)
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  await stream.next('m')
  failing.add('acknowledge')
  assert.equal((await report(app, ANN, stream, stream.cursor)).status, 200)
  assert.deepEqual(failuresOf(app), new Set(['acknowledge fails']))
  heal()
  assert.equal(await isOpen(sent), true)
  await stream.next('m')
  await report(app, ANN, stream, stream.cursor)
  assert.equal(await outcomeOf(sent), 1)
})

test('to a client that does not acknowledge it is not written twice because the store did not take it down', async (t) => {
  const { store, failing, heal } = unreliableStore()
  const app = await serve(t, { store, ...SOON })
  const stream = await app.connect(ANN)
  failing.add('acknowledge')
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  await until(() => app.errors.length >= 2, 'the second attempt to take it down')
  heal()
  assert.equal(await outcomeOf(sent), 1)
  await caughtUp(app, stream)
  assert.deepEqual(stream.dataOf('m'), ['x'])
})

test('to a plain client that catches up it is not written twice because the store is slow', async (t) => {
  const { store, slow, calls, heal } = unreliableStore()
  const app = await serve(t, { store })
  const before = await app.connect(ANN)
  before.leave()
  await gone(app, 1)
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  await until(() => pendingIn(store).then(({ length }) => length === 1), 'the message to be held')
  slow.add('acknowledge')
  const again = await app.connect(ANN, `lastEventId=${before.cursor}`)
  await again.next('m')
  await caughtUp(app, again)
  assert.equal(calls.length, 1)
  heal()
  assert.equal(await outcomeOf(sent), 1)
  await caughtUp(app, again)
  assert.deepEqual(again.dataOf('m'), ['x'])
})

test('when the store cannot say what waits, who has come gets it when it can', async (t) => {
  const { store, failing, heal } = unreliableStore()
  const app = await serve(t, { store, ...SOON })
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  failing.add('pending')
  const stream = await join(app, ANN)
  await caughtUp(app, stream)
  assert.deepEqual(messagesOf(stream), [])
  assert.deepEqual(failuresOf(app), new Set(['pending fails']))
  failing.clear()
  failing.add('append')
  await until(() => failuresOf(app).has('append fails'), 'the attempt to send it again')
  heal()
  await stream.next('m')
  await report(app, ANN, stream, stream.cursor)
  assert.equal(await outcomeOf(sent), 1)
})

test('the same for who adds a listener', async (t) => {
  const { store, failing, heal } = unreliableStore()
  const app = await serve(t, { store, ...SOON })
  const stream = await join(app, ANN, { listeners: '' })
  void app.sse.qos().sendByUserId(1, 'm', 'x')
  failing.add('pending')
  assert.equal((await changeListeners(app, ANN, stream, 'add', ['m'])).status, 200)
  await until(() => app.errors.length > 0, 'the failure')
  heal()
  assert.equal(await stream.next('m'), 'x')
})

test('when the store cannot say what waits, an acknowledgement that comes late still counts', async (t) => {
  const { store, failing } = unreliableStore()
  const app = await serve(t, { store, ...SOON })
  const stream = await join(app, ANN)
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  await stream.next('m')
  failing.add('pending')
  await until(() => app.errors.length >= 2, 'two looks')
  await report(app, ANN, stream, stream.cursor)
  assert.equal(await outcomeOf(sent), 1)
})

test('a message whose time is over settles also if the store fails then', async (t) => {
  const { store, failing } = unreliableStore()
  const app = await serve(t, { store })
  failing.add('cancel')
  assert.equal(await outcomeOf(app.sse.qos().sendByUserId(1, 'm', 'x', { timeout: 20 })), 0)
  assert.deepEqual(failuresOf(app), new Set(['cancel fails']))
})

test('taken back on its way into the store, it is taken back', async (t) => {
  const { store, slow, calls, heal } = unreliableStore()
  const app = await serve(t, { store })
  slow.add('hold')
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  await until(() => calls.length === 1, 'the message to be on its way')
  const cancelled = sent.cancel()
  assert.equal(await isOpen(cancelled), true)
  heal()
  assert.equal(await outcomeOf(cancelled), true)
  assert.equal(await outcomeOf(sent), 0)
  const stream = await join(app, ANN)
  await caughtUp(app, stream)
  assert.deepEqual(messagesOf(stream), [])
})

test('a service that closes while a message is on its way into the store settles it', async (t) => {
  const { store, slow, heal } = unreliableStore()
  const app = await serve(t, { store })
  slow.add('hold')
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  const closed = app.sse.close()
  await closed
  heal()
  assert.equal(await outcomeOf(sent), 0)
})

test('a newcomer that has it before it was sent to all does not keep it from the others', async (t) => {
  const { store } = unreliableStore()
  const { hold } = store
  let answer = () => {}
  const answered = new Promise<void>((resolve) => {
    answer = resolve
  })
  store.hold = (...args) => hold(...args).then(() => answered)
  const app = await serve(t, { store })
  const bob = await app.connect(BOB)
  const sent = app.sse.qos().sendAll('m', 'x')
  const ann = await app.connect(ANN)
  await ann.next('m')
  answer()
  assert.equal(await bob.next('m'), 'x')
  assert.equal(await outcomeOf(sent), 1)
})

test('a poll that is ended while the log is read takes nothing with it', async (t) => {
  const { store, slow, calls, heal } = unreliableStore()
  const app = await serve(t, { store, ...SOON })
  const ask = (params: Record<string, string>) =>
    app.call(`/connect?${acking({ mode: 'poll', wait: '0', ...params })}`, { as: ANN })
  const { text } = await ask({})
  const [, connectionId = ''] = /"connectionId":"([^"]+)"/.exec(text) ?? []
  const [, lastEventId = ''] = /^id: (.*)$/m.exec(text) ?? []
  const sent = app.sse.qos().sendByUserId(1, 'm', 'x')
  await isOpen(sent)
  slow.add('read')
  const answer = ask({ connectionId, lastEventId })
  await until(() => calls.length === 1, 'the read')
  assert.equal(await app.sse.disconnectByConnectionId(connectionId), 1)
  heal()
  await answer
  // What is outstanding of a connection that is gone would be asked for, for ever.
  let asked = 0
  const { pending } = store
  store.pending = (...args) => {
    asked++
    return pending(...args)
  }
  const stream = await join(app, ANN, { clientInstanceId: 'other' })
  await stream.next('m')
  await report(app, ANN, stream, stream.cursor)
  assert.equal(await outcomeOf(sent), 1)
  const before = asked
  await new Promise((resolve) => setTimeout(resolve, SOON.ackTimeout * 3))
  assert.equal(asked, before)
})
