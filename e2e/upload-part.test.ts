import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright'
import type { Progress } from '../client/part'
import { choose } from './choose'
import { type Browser, type FaultProxy, startBrowser, startProxy, until } from './harness'
import { begin, bytesOf, type Outcome, prepare, settled } from './upload-page'
import { startUploadServer, type UploadServer } from './upload-server'

let browser: Browser
let server: UploadServer
let proxy: FaultProxy
let page: Page
before(async () => {
  browser = await startBrowser()
  server = await startUploadServer()
  proxy = await startProxy(server.port)
  page = await browser.newPage(proxy.origin)
})
after(async () => {
  await browser.close()
  await proxy.close()
  await server.close()
})
beforeEach(async () => {
  proxy.resume()
  proxy.cutAfter(Number.POSITIVE_INFINITY)
  server.pieces.length = 0
  server.before.length = 0
  await page.goto(proxy.origin)
  await prepare(page)
})

const whats = (): string[] => server.pieces.map(({ what }) => what)

/** Progress never exceeds what there is, nor tells the same twice. */
function assertGrows({ progress }: Outcome, total: number): void {
  assert.ok(progress.length > 0)
  for (const [n, { loaded }] of progress.entries()) assert.ok(loaded > (progress[n - 1]?.loaded ?? -1))
  assert.deepEqual(progress.at(-1), { loaded: total, total })
}

/** Answers the requests of a method, as many as there are statuses. */
function refuse(method: string, ...statuses: number[]): void {
  server.before.push((request, response) => {
    const status = request.method === method ? statuses.shift() : undefined
    if (!status) return false
    request.resume()
    response.writeHead(status, { 'Retry-After': '3', 'X-Sse-Error': 'some' }).end('why')
    return true
  })
}

/** Reads no more of each body, from so many bytes on. @returns goes on */
function hold(from = 0): () => void {
  const { promise, resolve } = withResolvers()
  server.before.push((request) => {
    holdBody(request, from, promise)
    return false
  })
  return resolve
}

/** @param from so many bytes are read before */
function holdBody(request: IncomingMessage, from: number, until: Promise<unknown>): void {
  const push = request.push.bind(request)
  const held: (Buffer | null)[] = []
  let count = 0
  let isHeld = true
  request.push = (piece: Buffer | null) => {
    count += piece?.length ?? 0
    if (!isHeld || count <= from) return push(piece)
    held.push(piece)
    // Stops the reading of the socket.
    return false
  }
  until.then(() => {
    isHeld = false
    for (const piece of held) push(piece)
  })
}

/** Cuts the line once so many bytes of the body have come. */
function cutBody(request: IncomingMessage, after: number, onCut: () => void): void {
  const push = request.push.bind(request)
  let count = 0
  request.push = (piece: Buffer | null) => {
    count += piece?.length ?? 0
    if (count > after && !request.socket.destroyed) {
      onCut()
      request.socket.resetAndDestroy()
    }
    return push(piece)
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

describe('a form', () => {
  it('has the bytes that the browser itself would send', async () => {
    const [own, theirs] = await page.evaluate(async () => {
      const form = new FormData()
      form.append('plain', 'x')
      form.append('quote"\nline\r\rend %22 \ud800 é', 'a\nb\rc\r\nd \ud800 é')
      form.append('', '')
      form.append(
        'file"\n',
        new File(['x\ny'], 'na"me\n\r\nof \ud800 é%22;.txt', { type: 'TEXT/plain;charset=x' }),
      )
      form.append('none', new File([], ''))
      form.append('blob', new Blob(['z']))
      const response = new Response(form)
      const type = response.headers.get('Content-Type') ?? ''
      const boundary = type.replace(/.*boundary=/, '')
      const body = window.part.toFormBody([...form], boundary)
      const hex = async (bytes: Promise<ArrayBuffer>): Promise<string> =>
        String.fromCharCode(...new Uint8Array(await bytes))
      return [
        `${body.type} ${await hex(body.blob.arrayBuffer())}`,
        `${type} ${await hex(response.arrayBuffer())}`,
      ]
    })
    assert.equal(own, theirs)
  })
})

describe('a request that tells how far it is', () => {
  const post = (url: string, size: number, init: RequestInit = {}): Promise<void> =>
    page.evaluate(
      ({ url, size, init }) => {
        window.send(({ onProgress, signal }) => {
          const whole = { method: 'POST', body: new Blob([new Uint8Array(size)]), signal, ...init }
          return window.part.fetchWithProgress(onProgress)(url, whole)
        })
      },
      { url, size, init },
    )

  it('grows up to its total while it is sent', async () => {
    const size = 50_000_000
    const goOn = hold()
    await post('/echo', size)
    const progress = (): Promise<Progress | undefined> => page.evaluate(() => window.soFar.progress.at(-1))
    const { loaded = 0, total } = (await until(progress, 'progress while the server does not read')) ?? {}
    assert.ok(loaded < size)
    assert.equal(total, size)
    goOn()
    assertGrows(await settled(page), size)
  })

  it('is answered as by fetch', async () => {
    const init = { headers: { 'X-Own': 'own', 'Content-Type': 'x/y' } }
    await post('/echo', 1000, init)
    const outcome = await settled(page)
    const theirs = await page.evaluate(async (init) => {
      const body = new Blob([new Uint8Array(1000)])
      const response = await fetch('/echo', { method: 'POST', body, ...init })
      return { headers: Object.fromEntries(response.headers), body: await response.text() }
    }, init)
    const { date: _, ...headers } = outcome.headers ?? {}
    const { date: __, ...expected } = theirs.headers
    assert.deepEqual(headers, expected)
    assert.equal(outcome.body, theirs.body)
    assert.deepEqual(JSON.parse(theirs.body), { method: 'POST', length: 1000, own: 'own', type: 'x/y' })
  })

  for (const status of [413, 500, 204])
    it(`is answered with ${status}, as by fetch`, async () => {
      await post(`/echo?status=${status}`, 1000)
      const outcome = await settled(page)
      assert.deepEqual([outcome.status, outcome.headers?.['retry-after']], [status, '7'])
      assert.equal(outcome.body === '', status === 204)
    })

  it('fails as by fetch when nobody listens', async () => {
    await proxy.refuse(true)
    proxy.cut()
    await post('/echo', 1000)
    const { error } = await settled(page)
    await proxy.refuse(false)
    assert.equal(error, 'TypeError: Failed to fetch')
  })

  it('can be taken back while it is under way', async () => {
    hold()
    await post('/echo', 50_000_000)
    await until(() => page.evaluate(() => window.soFar.progress.length), 'progress')
    await page.evaluate(() => window.abort.abort(new RangeError('no more')))
    assert.equal((await settled(page)).error, 'RangeError: no more')
  })

  it('is not sent if it was taken back before', async () => {
    let count = 0
    server.before.push(({ url }) => {
      if (url?.startsWith('/echo')) count++
      return false
    })
    const name = await page.evaluate(() =>
      window.part
        .fetchWithProgress(() => {})('/echo', { signal: AbortSignal.abort() })
        .catch((error) => error.name),
    )
    assert.deepEqual([name, count], ['AbortError', 0])
  })

  it('has cookies for another origin only if they are to be included', async () => {
    await page.evaluate(() => {
      // biome-ignore lint/suspicious/noDocumentCookie: the other way needs https
      document.cookie = 'a=b'
    })
    const cookieOf = async (url: string, credentials: RequestCredentials): Promise<string> => {
      await post(url, 10, { credentials })
      return JSON.parse((await settled(page)).body ?? '').cookie
    }
    assert.equal(await cookieOf('/echo', 'same-origin'), 'a=b')
    assert.equal(await cookieOf(`${server.origin}/echo`, 'same-origin'), undefined)
    assert.equal(await cookieOf(`${server.origin}/echo`, 'include'), 'a=b')
  })
})

describe('a form in pieces', () => {
  const SIZE = 2_500_000

  it('arrives whole, each piece with who sends it, and leaves nothing in the browser', async () => {
    const kept = () => page.evaluate(() => localStorage.length)
    const keptBefore = await kept()
    await begin(page, SIZE)
    const outcome = await settled(page)
    assert.deepEqual(outcome.begun, [outcome.id])
    assert.ok(bytesOf(SIZE).equals(await server.stored(outcome.id ?? '')))
    assert.deepEqual(whats(), ['POST', 'PATCH 1000000', 'PATCH 1000000', 'PATCH 500000'])
    for (const { url, headers } of server.pieces) {
      assert.match(url, /\?token=old$/)
      assert.equal(headers.authorization, 'Bearer old')
    }
    assertGrows(outcome, SIZE)
    assert.equal(await kept(), keptBefore)
  })

  it('arrives whole although the line is cut anywhere, on the way there and on the way back', async () => {
    const random = (most: number): number => Math.floor(Math.random() * most)
    let cuts = 0
    server.before.push((request) => {
      // Chromium repeats a request by itself if an old connection was cut: it is cut again.
      if (request.method === 'PATCH' && cuts < 8) cutBody(request, random(300_000), () => cuts++)
      return false
    })
    // Answers to HEAD and PATCH have some 800 bytes together.
    proxy.cutAfter(random(5000), { times: 3 })
    let id = ''
    let outcome: Outcome | undefined
    for (let round = 0; !outcome?.id && round < 30; round++) {
      await begin(page, SIZE, { id, chunk: 300_000 })
      outcome = await settled(page)
      const isFair = outcome.id || outcome.error === 'TypeError: Failed to fetch'
      assert.ok(isFair, JSON.stringify(outcome))
      id = outcome.begun.at(-1) ?? id
    }
    assert.equal(outcome?.id, id)
    assert.ok(cuts >= 8)
    assert.ok(bytesOf(SIZE).equals(await server.stored(id)))
  })

  /** An upload of which the first piece is there. */
  async function half(size = SIZE): Promise<string> {
    refuse('PATCH', 0, 500)
    await begin(page, size)
    const { status, begun } = await settled(page)
    assert.equal(status, 500)
    server.before.length = 0
    server.pieces.length = 0
    return begun[0] ?? ''
  }

  it('goes on where it stopped, also after a reload', async () => {
    const id = await half()
    await page.reload()
    await prepare(page)
    await begin(page, SIZE, { id })
    const outcome = await settled(page)
    assert.equal(outcome.id, id)
    assert.deepEqual(outcome.begun, [])
    assert.deepEqual(outcome.progress[0], { loaded: 1_000_000, total: SIZE })
    assert.deepEqual(whats(), ['HEAD', 'PATCH 1000000', 'PATCH 500000'])
  })

  it('is not sent again when only the last answer was lost', async () => {
    await begin(page, SIZE)
    const { id = '' } = await settled(page)
    server.pieces.length = 0
    await begin(page, SIZE, { id })
    assert.equal((await settled(page)).id, id)
    assert.deepEqual(whats(), ['HEAD'])
  })

  it('begins anew at once if the server has it no more', async () => {
    await begin(page, SIZE, { id: 'gone' })
    const outcome = await settled(page)
    assert.deepEqual(outcome.begun, [outcome.id])
    assert.ok(bytesOf(SIZE).equals(await server.stored(outcome.id ?? '')))
  })

  it('begins anew at once if the server loses it on the way, but only once', async () => {
    refuse('PATCH', 404)
    await begin(page, SIZE)
    const outcome = await settled(page)
    assert.equal(outcome.begun.length, 2)
    assert.equal(outcome.id, outcome.begun[1])
    refuse('PATCH', 404, 404)
    await begin(page, SIZE)
    assert.equal((await settled(page)).status, 404)
  })

  it('begins anew if what is there is part of another form', async () => {
    const id = await half(SIZE + 1)
    await begin(page, SIZE, { id })
    const outcome = await settled(page)
    assert.notEqual(outcome.id, id)
    assert.ok(bytesOf(SIZE).equals(await server.stored(outcome.id ?? '')))
  })

  it('stops at 401, and goes on as who is known then', async () => {
    server.before.push(({ headers, url }, response) => {
      if (!url?.startsWith('/sse') || headers.authorization !== 'Bearer old' || whats().length < 3)
        return false
      response.writeHead(401).end()
      return true
    })
    await begin(page, SIZE)
    const { status, begun } = await settled(page)
    assert.equal(status, 401)
    // The first question on return gets it too: that is no reason to begin anew.
    await begin(page, SIZE, { id: begun[0] ?? '' })
    assert.equal((await settled(page)).status, 401)
    await page.evaluate(() => {
      window.token = 'new'
    })
    await begin(page, SIZE, { id: begun[0] ?? '' })
    assert.equal((await settled(page)).id, begun[0])
    assert.equal(whats().filter((what) => what === 'POST').length, 1)
    assert.match(server.pieces.at(-1)?.url ?? '', /\?token=new$/)
  })

  it('takes a token that is renewed between two pieces', async () => {
    const goOn = hold(900_000)
    await begin(page, SIZE)
    await until(() => whats().length > 1, 'the first piece')
    await page.evaluate(() => {
      window.token = 'new'
    })
    goOn()
    await settled(page)
    assert.match(server.pieces.at(-1)?.url ?? '', /\?token=new$/)
    assert.equal(server.pieces.at(-1)?.headers.authorization, 'Bearer new')
  })

  for (const [method, status] of [
    ['POST', 413],
    ['POST', 429],
    ['HEAD', 503],
    ['HEAD', 423],
    ['PATCH', 423],
    ['PATCH', 401],
  ] as const)
    it(`comes back with the answer ${status} to ${method}, and nothing is lost`, async () => {
      const id = method === 'POST' ? '' : await half()
      refuse(method, status)
      await begin(page, SIZE, { id })
      const outcome = await settled(page)
      assert.equal(outcome.status, status)
      assert.equal(outcome.headers?.['retry-after'], '3')
      assert.equal(outcome.headers?.['x-sse-error'], 'some')
      assert.equal(outcome.body, method === 'HEAD' ? '' : 'why')
      assert.equal(outcome.begun.length, 0)
    })

  it('asks again where it is if a piece came too late, once', async () => {
    refuse('PATCH', 409)
    await begin(page, SIZE)
    const outcome = await settled(page)
    assert.deepEqual(outcome.begun, [outcome.id])
    refuse('PATCH', 409, 409)
    await begin(page, SIZE)
    assert.equal((await settled(page)).status, 409)
  })

  it('fails when the line is dead, and goes on when it lives', async () => {
    const id = await half()
    await page.evaluate(() => {
      window.speed = 60
    })
    proxy.stall()
    await begin(page, SIZE, { id })
    assert.match((await settled(page)).error ?? '', /^ExpiredError: Nothing .* 60 s/)
    proxy.resume()
    await begin(page, SIZE, { id })
    assert.equal((await settled(page)).id, id)
  })

  it('does not fail on a line that is slow but alive', async () => {
    await page.evaluate(() => {
      window.speed = 60
    })
    const slow = 400
    const started = performance.now()
    server.before.push((request) => {
      if (request.method === 'PATCH') holdBody(request, 0, sleep(slow))
      return false
    })
    await begin(page, SIZE)
    assert.ok((await settled(page)).id)
    assert.ok(performance.now() - started > 3 * slow)
  })

  it('can be taken back at any time, and is still there to go on', async () => {
    const id = await half()
    for (const when of ['at once', 'on the way']) {
      hold(500_000)
      await begin(page, SIZE, { id })
      if (when === 'on the way')
        await until(() => page.evaluate(() => window.soFar.progress.length), 'progress')
      await page.evaluate(() => window.abort.abort(new RangeError('no more')))
      assert.equal((await settled(page)).error, 'RangeError: no more', when)
    }
    server.before.length = 0
    await begin(page, SIZE, { id })
    assert.equal((await settled(page)).id, id)
    assert.ok(!whats().includes('DELETE'))
  })

  it('says so if a file was deleted or changed meanwhile', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tabwire-file-'))
    for (const [change, name] of [
      [(path: string) => rm(path), /^NotFoundError|^NotReadableError/],
      [(path: string) => writeFile(path, 'other'), /^NotReadableError/],
    ] as const) {
      const path = join(folder, 'f.bin')
      await writeFile(path, bytesOf(SIZE))
      await choose(page, [path])
      await page.evaluate(() => {
        const [file] = document.querySelector('input')?.files ?? []
        window.blobs['form'] = window.part.toFormBody([['f', file as File]], 'b').blob
      })
      await change(path)
      await page.evaluate(() => {
        const blob = window.blobs['form'] as Blob
        window.send((watch) =>
          window.part.sendPieces(window.core, { blob, chunk: 1_000_000, id: undefined, ...watch }),
        )
      })
      const outcome = await settled(page)
      assert.match(outcome.error ?? '', name, JSON.stringify(outcome))
    }
    await rm(folder, { recursive: true })
  })

  it('takes no memory in the page, however large it is', async () => {
    const session = await page.context().newCDPSession(page)
    const used = async (): Promise<number> => {
      const usage: { usedSize: number; backingStorageSize?: number } =
        await session.send('Runtime.getHeapUsage')
      return usage.usedSize + (usage.backingStorageSize ?? 0)
    }
    await page.evaluate(() => {
      const megabyte = new Blob([new Uint8Array(1_000_000)])
      window.blobs['large'] = new Blob(Array.from({ length: 30 }, () => megabyte))
    })
    await session.send('HeapProfiler.collectGarbage')
    const atFirst = await used()
    await page.evaluate(() => {
      const { large } = window.blobs
      const { blob } = window.part.toFormBody([['f', new File([large as Blob], 'f')]], 'b')
      window.send((watch) =>
        window.part.sendPieces(window.core, { blob, chunk: 8_000_000, id: undefined, ...watch }),
      )
    })
    let most = 0
    const ended = async () => {
      most = Math.max(most, await used())
      return page.evaluate(() => window.outcome as Outcome)
    }
    const outcome = await until(ended, 'the upload', 60_000)
    assert.ok(outcome.id, JSON.stringify(outcome))
    assert.ok(most - atFirst < 5_000_000, `${most - atFirst} bytes more`)
  })
})
