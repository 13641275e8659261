import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { never, startBrowser, startNginx, startServer, until } from './harness'

describe('nginx in front', () => {
  /** The stream that was asked for last. */
  let stream: ServerResponse | undefined
  const server = createServer((_req, res) => {
    stream = res.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' })
    stream.flushHeaders()
  })
  let targetPort = 0
  before(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    targetPort = (server.address() as AddressInfo).port
  })
  after(() => {
    server.closeAllConnections()
    server.close()
  })

  /** What comes of an answer. */
  interface Answer {
    head: boolean
    text: string
    ended: boolean
  }

  function follow(request: NodeJS.EventEmitter): Answer {
    const answer: Answer = { head: false, text: '', ended: false }
    const read = (body: NodeJS.ReadableStream): unknown =>
      body
        .on('data', (chunk) => {
          answer.text += chunk
        })
        .on('end', () => {
          answer.ended = true
        })
    request.on('response', (response: IncomingMessage | object) => {
      answer.head = true
      // HTTP/2 has the body in the request, and mere headers here.
      read('statusCode' in response ? response : (request as unknown as NodeJS.ReadableStream))
    })
    return answer
  }

  async function started(): Promise<ServerResponse> {
    await until(() => stream, 'the server to be asked')
    const now = stream as ServerResponse
    stream = undefined
    return now
  }

  it('passes on each event at once through HTTP/2', async (t) => {
    const nginx = await startNginx({ targetPort, http2: true })
    t.after(() => nginx.close())
    const session = connect(nginx.origin, { rejectUnauthorized: false })
    t.after(() => session.destroy())
    const answer = follow(session.request())
    const source = await started()
    // The head comes with the first of them: nginx leaves it in the buffer of TLS until there are data.
    for (const text of ['data: 1\n\n', 'data: 2\n\n']) {
      source.write(text)
      await until(() => answer.text.endsWith(text), 'the event')
    }
    assert.equal(session.alpnProtocol, 'h2')
    assert.equal(answer.ended, false)
    session.destroy()
    await until(() => source.closed, 'the server to be told that the client left')
  })

  for (const http2 of [false, true]) {
    it(`that buffers holds back even the head until the end, over HTTP/${http2 ? 2 : 1}`, async (t) => {
      const nginx = await startNginx({ targetPort, http2, buffering: true })
      t.after(() => nginx.close())
      const session = http2 ? connect(nginx.origin, { rejectUnauthorized: false }) : undefined
      t.after(() => session?.destroy())
      const answer = follow(session?.request() ?? get(nginx.origin, { agent: false }))
      const source = await started()
      const events = Array.from({ length: 100 }, (_, n) => `data: ${n} ${'x'.repeat(1000)}\n\n`).join('')
      source.write(events)
      await never(() => answer.head || answer.text, 'something comes through', 500)
      source.end('data: last\n\n')
      await until(() => answer.ended, 'the end')
      assert.equal(answer.text, `${events}data: last\n\n`)
    })
  }

  it('carries a whole page over HTTP/2: its module, its stream, its messages and its goodbye', async (t) => {
    const browser = await startBrowser()
    t.after(() => browser.close())
    const own = await startServer()
    t.after(() => own.close())
    const nginx = await startNginx({ targetPort: own.port, http2: true })
    t.after(() => nginx.close())
    const page = await browser.newPage(nginx.page('ann'))
    await until(() => page.evaluate(() => window.sse?.isActive()), 'the page to be connected')
    const protocols = await page.evaluate(() =>
      performance
        .getEntries()
        .flatMap((entry) => ('nextHopProtocol' in entry ? [entry.nextHopProtocol] : [])),
    )
    assert.ok(protocols.length > 1 && protocols.every((protocol) => protocol === 'h2'), String(protocols))
    assert.equal(await own.sse.sendByUserId('ann', 'test', { n: 1 }), 1)
    await until(() => page.evaluate(() => window.came.some(({ type }) => type === 'test')), 'the event')
    const sent = await page.evaluate(async () => (await window.sse.send('hello', { n: 2 })).json())
    assert.deepEqual(sent.data, { path: 'hello', message: { n: 2 } })
    await page.close()
    await until(async () => !(await own.sse.isOnline('ann')), 'the goodbye')
  })
})
