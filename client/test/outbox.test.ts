import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BASE, FakePage, json, type SeenRequest, settle, watch } from './fake'

const isMessage = (request: SeenRequest): boolean => request.path.includes('/message/')
const bodies = (page: FakePage): unknown[] =>
  page.server.posts('/message/').map(({ body }) => JSON.parse(String(body)).n)

describe('send', () => {
  it('posts JSON of this connection, with the own query first and the message behind', async () => {
    const page = new FakePage()
    const sse = await page.createOpen({ query: { token: 't' }, headers: { 'X-A': '1' } })
    const response = await sse.send('a/b?c', { n: 1 }, { message: 'hi' }, { 'X-B': '2' })
    assert.equal((await response.json()).code, 200)
    const [request] = page.server.posts('/message/')
    assert.equal(request?.path, `${BASE}/connect/message/a%2Fb%3Fc.do`)
    assert.equal(String(request?.query), 'token=t&connectionId=c1&message=hi')
    assert.equal(request?.body, '{"n":1}')
    assert.equal(request?.headers.get('Content-Type'), 'application/json')
    assert.equal(request?.headers.get('X-A'), '1')
    assert.equal(request?.headers.get('X-B'), '2')
  })

  it('waits while not connected, and leaves in order: before connect, while hidden, while the line is down', async () => {
    const page = new FakePage()
    const sse = page.create()
    const all = []
    for (let n = 0; n < 100; n++) all.push(watch(sse.send('x', { n })))
    await settle()
    await page.hide()
    for (let n = 100; n < 200; n++) all.push(watch(sse.send('x', { n })))
    await page.show()
    page.server.isDown = true
    page.server.stream.fail()
    await settle()
    for (let n = 200; n < 300; n++) all.push(watch(sse.send('x', { n })))
    await page.tick(20_000)
    page.server.isDown = false
    await page.tick(40_000)
    assert.equal(all.filter(({ state }) => state === 'resolved').length, 300)
    assert.deepEqual(
      bodies(page),
      Array.from({ length: 300 }, (_, n) => n),
    )
  })

  it('sends what the body was when it was called', async () => {
    const page = new FakePage()
    const sse = page.create()
    const body = { n: 1 }
    const sent = sse.send('x', body)
    body.n = 2
    await sent
    assert.deepEqual(bodies(page), [1])
  })

  for (const status of [200, 400, 401, 403, 404, 409, 413, 422]) {
    it(`takes ${status} for the answer`, async () => {
      const page = new FakePage()
      const sse = await page.createOpen()
      const answer = (request: SeenRequest) =>
        json({}, status, { 'Idempotency-Key': request.headers.get('Idempotency-Key') ?? '' })
      page.server.behaviour = (request) => (isMessage(request) ? answer(request) : null)
      assert.equal((await sse.send('x')).status, status)
      assert.equal(page.server.posts('/message/').length, 1)
    })
  }

  for (const failure of ['network', 408, 425, 429, 500, 502, 503] as const) {
    it(`tries again after ${failure}, and lets nothing pass before it`, async () => {
      const page = new FakePage()
      const sse = await page.createOpen()
      let failures = 3
      page.server.behaviour = (request) => {
        if (!isMessage(request) || failures-- <= 0) return null
        if (failure === 'network') throw new TypeError('Failed to fetch')
        return json({}, failure)
      }
      const first = watch(sse.send('x', { n: 1 }))
      const second = watch(sse.send('x', { n: 2 }))
      await page.tick(10_000)
      assert.equal(first.value?.status, 200)
      assert.equal(second.value?.status, 200)
      assert.deepEqual(bodies(page), [1, 1, 1, 1, 2])
    })
  }

  it('obeys Retry-After, even if the page is hidden and shown meanwhile or flush() is called', async () => {
    const page = new FakePage()
    page.random = 0
    const sse = await page.createOpen()
    let isBusy = true
    page.server.behaviour = (request) =>
      isMessage(request) && isBusy ? json({}, 429, { 'Retry-After': '30' }) : null
    const sent = watch(sse.send('x'))
    await settle()
    isBusy = false
    await page.tick(10_000)
    await page.hide()
    await page.show()
    sse.flush()
    await page.tick(19_999)
    assert.equal(sent.state, 'pending')
    await page.tick(1)
    assert.equal(sent.state, 'resolved')
  })

  it('does not wait for the delay when flush() is called', async () => {
    const page = new FakePage()
    page.random = 1
    const sse = await page.createOpen()
    let failures = 1
    page.server.behaviour = (request) => (isMessage(request) && failures-- > 0 ? json({}, 500) : null)
    const sent = watch(sse.send('x'))
    await settle()
    assert.equal(sent.state, 'pending')
    sse.flush()
    await settle()
    assert.equal(sent.state, 'resolved')
  })

  it('goes to the new connection if the server knows the old one no more', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    const unknown = json({}, 404, { 'X-Sse-Error': 'unknown-connection' })
    page.server.behaviour = (request) => (request.query.get('connectionId') === 'c1' ? unknown : null)
    const sent = watch(sse.send('x', { n: 1 }))
    await page.tick(10_000)
    assert.equal(sent.value?.status, 200)
    assert.equal(sse.connectionId, 'c2')
    assert.equal(page.server.openStreams.length, 1)
    assert.deepEqual(
      page.server.posts('/message/').map(({ query }) => query.get('connectionId')),
      ['c1', 'c2'],
    )
  })

  it('gives up after 20 answers in vain, with the last one, so that it does not block the others for ever', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    page.server.behaviour = (request) => (request.path.includes('bad') ? json({}, 500) : null)
    const bad = watch(sse.send('bad'))
    const good = watch(sse.send('good'))
    await page.tick(900_000)
    assert.equal(bad.value?.status, 500)
    assert.equal(page.server.posts('/message/bad').length, 20)
    assert.equal(good.value?.status, 200)
  })

  it('gives up after 20 failures of the network while connected, with the cause', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    page.server.behaviour = (request) => {
      if (isMessage(request)) throw new TypeError('blocked')
      return null
    }
    const sent = watch(sse.send('x'))
    await page.tick(900_000)
    assert.equal(sent.error?.name, 'ExpiredError')
    assert.match(String(sent.error?.cause), /blocked/)
  })

  it('is tried again after a minute without any answer: a dead line may never say that it is dead', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    let silent = 1
    page.server.behaviour = (request) =>
      isMessage(request) && silent-- > 0 ? new Promise<Response>(() => {}) : null
    const sent = watch(sse.send('x'))
    await page.tick(59_999)
    assert.equal(sent.state, 'pending')
    await page.tick(2000)
    assert.equal(sent.value?.status, 200)
    assert.equal(page.server.openRequests, 1)
  })

  it('goes on after the clock of the computer was set back', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    let failures = 1
    page.server.behaviour = (request) => (isMessage(request) && failures-- > 0 ? json({}, 500) : null)
    const sent = watch(sse.send('x'))
    await settle()
    page.clock.setSystemTime(page.clock.now - 3_600_000)
    await page.tick(2000)
    assert.equal(sent.value?.status, 200)
  })

  it('takes null for no options and no timeout', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    assert.equal((await sse.send('x', {}, {}, {}, null)).status, 200)
    assert.equal((await sse.send('x', {}, {}, {}, { timeout: null, signal: null })).status, 200)
  })

  it('waits at first no longer than a second for its second try', async () => {
    const page = new FakePage()
    page.random = 1
    const sse = await page.createOpen()
    let failures = 2
    page.server.behaviour = (request) => (isMessage(request) && failures-- > 0 ? json({}, 500) : null)
    const sent = watch(sse.send('x'))
    await page.tick(1000)
    assert.equal(page.server.posts('/message/').length, 2)
    await page.tick(2000)
    assert.equal(sent.value?.status, 200)
  })

  it('may have a timeout of a month', async () => {
    const page = new FakePage()
    const sse = page.create()
    const sent = watch(sse.send('x', {}, {}, {}, { timeout: 3e9 }))
    await page.tick(10)
    assert.equal(sent.value?.status, 200)
  })

  it('takes null for no query and no headers, and the query as it was', async () => {
    const page = new FakePage()
    const sse = page.create()
    const query = { n: 1 }
    const sent = [sse.send('x', {}, null, null), sse.send('x', {}, query)]
    query.n = 2
    await Promise.all(sent)
    assert.deepEqual(
      page.server.posts('/message/').map((request) => request.query.get('n')),
      [null, '1'],
    )
  })

  it('leaves the answer readable after the promise has settled', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    let signal: AbortSignal | undefined
    page.server.behaviour = (request) => {
      if (isMessage(request)) signal = request.signal
      return null
    }
    await sse.send('x')
    await page.tick(120_000)
    assert.equal(signal?.aborted, false)
  })

  it('is taken back by its signal: waiting, under way, or before it began', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    page.server.behaviour = (request) => (isMessage(request) ? new Promise<Response>(() => {}) : null)
    const controllers = [new AbortController(), new AbortController(), new AbortController()]
    controllers[2]?.abort('early')
    const sent = controllers.map(({ signal }, n) => watch(sse.send('x', { n }, {}, {}, { signal })))
    await settle()
    controllers[1]?.abort('waiting')
    await settle()
    assert.deepEqual(
      sent.map(({ state }) => state),
      ['pending', 'rejected', 'rejected'],
    )
    controllers[0]?.abort('under way')
    await settle()
    assert.equal(page.server.openRequests, 1)
    for (const [n, reason] of ['under way', 'waiting', 'early'].entries()) {
      assert.equal(sent[n]?.error?.name, 'AbortError')
      assert.equal(sent[n]?.error?.cause, reason)
    }
  })

  it('expires after its timeout, waiting or under way, and what follows goes on', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    page.server.behaviour = (request) =>
      request.path.includes('slow') ? new Promise<Response>(() => {}) : null
    const slow = watch(sse.send('slow', {}, {}, {}, { timeout: 1000 }))
    const waiting = watch(sse.send('slow', {}, {}, {}, { timeout: 500 }))
    const next = watch(sse.send('x'))
    await page.tick(999)
    assert.equal(waiting.error?.name, 'ExpiredError')
    assert.equal(slow.state, 'pending')
    await page.tick(1)
    assert.equal(slow.error?.name, 'ExpiredError')
    assert.equal(next.value?.status, 200)
  })

  it('is refused when maxQueued wait already', async () => {
    const page = new FakePage()
    page.visibility = 'hidden'
    const sse = await page.createOpen({ maxQueued: 2 })
    const sent = [1, 2, 3].map((n) => watch(sse.send('x', { n })))
    await settle()
    assert.equal(sent[2]?.error?.name, 'OutboxFullError')
    await page.show()
    assert.deepEqual(
      sent.map(({ state }) => state),
      ['resolved', 'resolved', 'rejected'],
    )
  })

  it('rejects what is no JSON, no headers or no timeout, at once and with a TypeError', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    await assert.rejects(sse.send('x', circular), TypeError)
    await assert.rejects(
      sse.send('x', () => {}),
      TypeError,
    )
    await assert.rejects(sse.send('x', {}, {}, { 'bad name': 'x' }), TypeError)
    await assert.rejects(sse.send('x', {}, {}, {}, { timeout: -1 }), {
      name: 'TypeError',
      message: /"timeout"/,
    })
    await assert.rejects(sse.send('x', {}, {}, {}, { timeout: 'soon' as never }), TypeError)
    await assert.rejects(sse.send('x', {}, {}, {}, { signal: {} as never }), TypeError)
    assert.equal(page.server.posts('/message/').length, 0)
  })

  it('waits through a close and a fatal end, and is rejected by destroy()', async () => {
    const page = new FakePage()
    const sse = await page.createOpen()
    sse.close()
    const kept = watch(sse.send('x', { n: 1 }))
    await page.tick(60_000)
    assert.equal(kept.state, 'pending')
    sse.connect()
    await settle()
    assert.equal(kept.state, 'resolved')
    sse.close()
    const lost = watch(sse.send('x', { n: 2 }))
    sse.destroy()
    await settle()
    assert.equal(lost.error?.name, 'DestroyedError')
    await assert.rejects(sse.send('x'), { name: 'DestroyedError' })
    await assert.rejects(sse.addListener('bell'), { name: 'DestroyedError' })
  })
})

describe('upload', () => {
  function form(n: number): FormData {
    const data = new FormData()
    data.set('n', String(n))
    data.set('file', new Blob(['content']), 'ä.txt')
    return data
  }

  it('waits and leaves in order, in one line with send', async () => {
    const page = new FakePage()
    page.visibility = 'hidden'
    const sse = await page.createOpen()
    const all = []
    for (let n = 0; n < 20; n++) {
      all.push(watch(sse.upload('file', form(n), { q: 1 })))
      all.push(watch(sse.send('x', { n })))
    }
    await page.show()
    assert.equal(all.filter(({ state }) => state === 'resolved').length, 40)
    const seen = page.server.requests
      .filter(({ path }) => /message|upload/.test(path))
      .map(({ body }) =>
        body instanceof FormData ? `upload ${body.get('n')}` : `send ${JSON.parse(String(body)).n}`,
      )
    assert.deepEqual(seen, Array.from({ length: 20 }, (_, n) => [`upload ${n}`, `send ${n}`]).flat())
  })

  it('sends the form as it was when it was called, with its files and their names', async () => {
    const page = new FakePage()
    const sse = page.create()
    const data = form(1)
    const sent = sse.upload('file', data)
    data.set('n', '2')
    await sent
    const [request] = page.server.posts('/upload/file.do')
    const body = request?.body as FormData
    assert.equal(body.get('n'), '1')
    assert.equal((body.get('file') as File).name, 'ä.txt')
    assert.equal(request?.headers.get('Content-Type'), null)
  })

  it('leaves the content type of a form to the browser, whatever the option "headers" says', async () => {
    const page = new FakePage()
    const sse = await page.createOpen({ headers: { 'Content-Type': 'application/json' } })
    await sse.upload('file', form(1))
    assert.equal(page.server.posts('/upload/')[0]?.headers.get('Content-Type'), null)
  })

  it('rejects what is no FormData with a TypeError', async () => {
    const sse = await new FakePage().createOpen()
    await assert.rejects(sse.upload('file', {} as never), { name: 'TypeError', message: /FormData/ })
  })
})
