import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  Agent,
  createServer as createHttpServer,
  get,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { type FaultProxy, never, startProxy, until } from './harness'

/** One end of a connection, and what came there. */
interface End {
  readonly socket: Socket
  /** What came so far. */
  text(): string
  bytes(): Buffer
  ended: boolean
  error: string | undefined
}

function watch(socket: Socket): End {
  const chunks: Buffer[] = []
  const bytes = (): Buffer => Buffer.concat(chunks)
  const end: End = { socket, bytes, text: () => bytes().toString(), ended: false, error: undefined }
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.on('end', () => {
    end.ended = true
  })
  socket.on('error', ({ code }: NodeJS.ErrnoException) => {
    end.error = code
  })
  return end
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port

describe('the fault proxy', () => {
  let server: Server
  let proxy: FaultProxy
  /** The server's ends, in the order of their coming. */
  let accepted: End[]
  let opened: End[]
  before(async () => {
    server = createServer({ allowHalfOpen: true }, (socket) => accepted.push(watch(socket)))
    await once(server.listen(0, '127.0.0.1'), 'listening')
  })
  beforeEach(async () => {
    accepted = []
    opened = []
    proxy = await startProxy(portOf(server))
  })
  afterEach(async () => {
    await proxy.close()
    for (const { socket } of [...opened, ...accepted]) socket.destroy()
  })
  after(() => void server.close())

  function dial(): End {
    const end = watch(connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }))
    opened.push(end)
    return end
  }

  /** A connection, and the server's end of it. */
  async function open(): Promise<[client: End, server: End]> {
    const { length } = accepted
    const client = dial()
    await until(() => accepted.length > length, 'the server to get a connection')
    return [client, accepted[length] as End]
  }

  /** Answers how many bytes it still has to send when it gets rid of no more. */
  async function untilStalled({ socket }: End): Promise<number> {
    let left = -1
    let since = 0
    const stands = (): boolean => {
      const now = socket.writableLength
      if (now !== left) since = performance.now()
      left = now
      return performance.now() - since > 300
    }
    await until(stands, 'the server to be stalled')
    return left
  }

  describe('without a fault', () => {
    it('passes on every byte and each end by itself', async () => {
      const [client, end] = await open()
      const [up, down] = [randomBytes(3_000_000), randomBytes(5_000_000)]
      client.socket.end(up)
      end.socket.write(down)
      await until(() => end.ended, 'the end of the client')
      assert.ok(end.bytes().equals(up))
      await until(() => client.bytes().length === down.length, 'all from the server')
      assert.ok(client.bytes().equals(down))
      assert.equal(client.ended, false, 'only one direction has ended')
      end.socket.end('bye')
      await until(() => client.ended, 'the end of the server')
      assert.equal(client.bytes().subarray(down.length).toString(), 'bye')
      assert.equal(client.error ?? end.error, undefined)
    })

    it('passes on a reset, in either direction', async () => {
      const [first, firstEnd] = await open()
      firstEnd.socket.resetAndDestroy()
      await until(() => first.error === 'ECONNRESET', 'the reset of the server')
      const [second, secondEnd] = await open()
      second.socket.resetAndDestroy()
      await until(() => secondEnd.error === 'ECONNRESET', 'the reset of the client')
    })

    it('counts the connections that are open, and all there were', async () => {
      const [first] = await open()
      await open()
      assert.deepEqual([proxy.connections, proxy.total], [2, 2])
      first.socket.destroy()
      await until(() => proxy.connections === 1, 'the first to be gone')
      assert.equal(proxy.total, 2)
    })

    it('stalls the server behind a client that does not read, and loses nothing', async () => {
      const [client, end] = await open()
      client.socket.pause()
      const all = 64_000_000
      const piece = Buffer.alloc(1_000_000, 'x')
      for (let sent = 0; sent < all; sent += piece.length) end.socket.write(piece)
      const left = await untilStalled(end)
      assert.ok(left > all / 2, `most of it is still with the server: ${left}`)
      client.socket.resume()
      await until(() => client.socket.bytesRead === all, 'all of it')
    })

    it('resets its clients when nobody listens behind it', async (t) => {
      const lonely = await startProxy(1)
      t.after(() => lonely.close())
      const client = watch(connect(lonely.port, '127.0.0.1'))
      await until(() => client.error === 'ECONNRESET', 'the reset')
    })
  })

  describe('cuts', () => {
    it('every open connection at once, on both sides', async () => {
      const all = [...(await open()), ...(await open())]
      proxy.cut()
      await until(() => all.every(({ error }) => error === 'ECONNRESET'), 'all ends to be reset')
      await until(() => proxy.connections === 0, 'none to be open')
      const [client, end] = await open()
      end.socket.write('again')
      await until(() => client.text() === 'again', 'a new one to work')
    })

    for (const bytes of [0, 1, 7, 100_000]) {
      it(`after exactly ${bytes} bytes, and lets the next one through`, async () => {
        proxy.cutAfter(bytes)
        const [client, end] = await open()
        const sent = randomBytes(200_000)
        end.socket.write(sent)
        await until(() => client.error === 'ECONNRESET', 'the cut')
        assert.ok(client.bytes().equals(sent.subarray(0, bytes)))
        const [next, nextEnd] = await open()
        nextEnd.socket.write(sent)
        await until(() => next.bytes().length === sent.length, 'all on the next one')
      })
    }

    it('after so many bytes to the server, which gets just these', async () => {
      proxy.cutAfter(7, { direction: 'up' })
      const [client, end] = await open()
      end.socket.write('the other way is not counted')
      client.socket.write('request 1')
      await until(() => client.error === 'ECONNRESET', 'the cut')
      assert.equal(end.text(), 'request')
      assert.equal(proxy.cuts, 1)
    })

    it('an open connection after so many further bytes, as often as asked', async () => {
      const [first, firstEnd] = await open()
      firstEnd.socket.write('before ')
      await until(() => first.text() === 'before ', 'what was before')
      proxy.cutAfter(5, { times: 2 })
      firstEnd.socket.write('after it')
      await until(() => first.error === 'ECONNRESET', 'the first cut')
      assert.equal(first.text(), 'before after')
      const [second, secondEnd] = await open()
      secondEnd.socket.write('second')
      await until(() => second.error === 'ECONNRESET', 'the second cut')
      assert.equal(second.text(), 'secon')
      const [third, thirdEnd] = await open()
      thirdEnd.socket.write('the third')
      await until(() => third.text() === 'the third', 'the third to be spared')
    })
  })

  describe('aimed at event streams', () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n'
    /** Mentions what the proxy looks for, but is none. */
    const MODULE = `expect('${HEAD}')`.replaceAll('\r\n', '\\r\\n')
    const answer = (req: IncomingMessage, res: ServerResponse): void => {
      if (req.url === '/module') return void res.setHeader('Content-Type', 'text/javascript').end(MODULE)
      res.setHeader('Content-Type', 'text/event-stream').flushHeaders()
      res.write('data: 1\n\n')
      res.write('data: 2\n\n')
    }
    const http = createHttpServer(answer)
    let web: FaultProxy
    before(async () => {
      await once(http.listen(0, '127.0.0.1'), 'listening')
      web = await startProxy(portOf(http))
    })
    after(async () => {
      agent.destroy()
      await web.close()
      http.closeAllConnections()
      http.close()
    })

    /** What came of a response, and how it ended. */
    async function load(path: string): Promise<string> {
      const request = get(web.origin + path, { agent })
      const [res] = (await once(request, 'response')) as [IncomingMessage]
      // Told by the response, too.
      request.on('error', () => {})
      let text = ''
      res.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      const outcome = await new Promise((resolve) => {
        res.on('end', () => resolve('end'))
        res.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code))
      })
      return `${text} ${outcome}`
    }

    it('spares what is none, also on the connection that carries one later', async () => {
      web.cutAfter('9\r\ndata: 1\n\n\r\n9\r\ndata'.length, { streams: true })
      const { total } = web
      assert.equal(await load('/module'), `${MODULE} end`)
      assert.equal(await load('/module'), `${MODULE} end`)
      assert.equal(await load('/stream'), 'data: 1\n\ndata ECONNRESET')
      assert.equal(web.total, total + 1, 'all of it was one connection')
    })

    it('lets the head through, and nothing else, with 0', async () => {
      web.cutAfter(0, { streams: true })
      assert.equal(await load('/stream'), ' ECONNRESET')
    })

    it('finds a head that comes byte by byte', async () => {
      proxy.throttle(2000)
      proxy.cutAfter(3, { streams: true })
      const [client, end] = await open()
      for (const letter of `HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n${HEAD}abcdef`)
        end.socket.write(letter)
      await until(() => client.error === 'ECONNRESET', 'the cut')
      assert.ok(client.text().endsWith(`${HEAD}abc`), client.text())
    })
  })

  describe('stalled', () => {
    it('holds what is sent, in that direction only, and loses nothing', async () => {
      for (const direction of ['down', 'up'] as const) {
        const [client, end] = await open()
        proxy.stall(direction)
        const [dead, alive] = direction === 'down' ? [client, end] : [end, client]
        dead.socket.write('1 2 ')
        alive.socket.write('1 ')
        await until(() => alive.text() === '1 2 ', 'the other direction')
        await never(() => dead.text(), 'something comes through', 200)
        alive.socket.write('2 ')
        proxy.resume()
        await until(() => dead.text() === '1 2 ', 'what was held')
        alive.socket.write('3')
        await until(() => dead.text() === '1 2 3', 'what is sent afterwards')
      }
    })

    it('tells nobody of an end or a reset before it goes on', async () => {
      const [[first, firstEnd], [second, secondEnd]] = [await open(), await open()]
      proxy.stall()
      firstEnd.socket.end('last words')
      second.socket.resetAndDestroy()
      await never(() => first.ended || secondEnd.error || secondEnd.ended, 'somebody is told', 200)
      proxy.resume()
      await until(() => first.ended, 'the end')
      assert.equal(first.text(), 'last words')
      await until(() => secondEnd.error === 'ECONNRESET', 'the reset')
    })

    it('accepts new connections, which are dead too', async () => {
      proxy.stall()
      const [client, end] = await open()
      client.socket.write('anybody there?')
      await never(() => end.text(), 'something comes through', 200)
      assert.equal(proxy.connections, 1)
      proxy.resume()
      await until(() => end.text() === 'anybody there?', 'what was held')
    })

    it('holds little of what a server goes on sending', async () => {
      const [client, end] = await open()
      proxy.stall('down')
      const all = 64_000_000
      const piece = Buffer.alloc(1_000_000)
      for (let sent = 0; sent < all; sent += piece.length) end.socket.write(piece)
      const left = await untilStalled(end)
      assert.ok(left > all / 2, `most of it is still with the server: ${left}`)
      assert.equal(client.bytes().length, 0)
      proxy.resume()
      await until(() => client.socket.bytesRead === all, 'all of it')
    })

    it('can be cut', async () => {
      const [client, end] = await open()
      proxy.stall()
      proxy.cut()
      await until(() => client.error === 'ECONNRESET' && end.error === 'ECONNRESET', 'both ends to be reset')
    })
  })

  describe('slow', () => {
    it('delivers everything later by the delay, in order, and no later for being much', async () => {
      proxy.delay(300, 'down')
      const [client, end] = await open()
      const started = performance.now()
      for (let n = 0; n < 50; n++) end.socket.write(`${n} `)
      client.socket.write('up')
      await until(() => end.text() === 'up', 'the other direction')
      assert.ok(performance.now() - started < 300, 'the other direction is not delayed')
      await until(() => client.text(), 'the first')
      assert.ok(performance.now() - started >= 299)
      await until(() => client.text().endsWith('49 '), 'the last')
      assert.equal(client.text(), Array.from({ length: 50 }, (_, n) => `${n} `).join(''))
      assert.ok(performance.now() - started < 3000, 'the delays do not add up')
    })

    it('lets no more than so many bytes per second through, piece by piece', async () => {
      proxy.throttle(40_000)
      const [client, end] = await open()
      const started = performance.now()
      end.socket.end(Buffer.alloc(20_000))
      await until(() => client.bytes().length > 0, 'the first piece')
      assert.ok(client.bytes().length < 20_000, 'it is only a piece')
      await until(() => client.ended, 'the end')
      assert.ok(performance.now() - started >= 450)
      proxy.throttle(Number.POSITIVE_INFINITY)
      const [next, nextEnd] = await open()
      nextEnd.socket.write(Buffer.alloc(5_000_000))
      await until(() => next.bytes().length === 5_000_000, 'all at once')
    })
  })

  describe('refusing', () => {
    it('gives new connections ECONNREFUSED, lets open ones go on, and is back on the same port', async () => {
      const [client, end] = await open()
      await proxy.refuse(true)
      const refused = dial()
      await until(() => refused.error === 'ECONNREFUSED', 'the refusal')
      end.socket.write('still here')
      await until(() => client.text() === 'still here', 'the open one')
      assert.deepEqual([proxy.connections, proxy.total], [1, 1])
      await proxy.refuse(false)
      const [again, againEnd] = await open()
      againEnd.socket.write('back')
      await until(() => again.text() === 'back', 'the new one')
    })
  })

  it('resets everybody when it is closed, also while it refuses and stalls', async () => {
    const [client, end] = await open()
    proxy.stall()
    await proxy.refuse(true)
    await proxy.close()
    await until(() => client.error === 'ECONNRESET' && end.error === 'ECONNRESET', 'both ends to be reset')
  })
})
