import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'
import { PATH_UPLOADS } from '../client/protocol'

/** Answers the request, or leaves it to the next. */
type Handler = (request: IncomingMessage, response: ServerResponse) => boolean

/** A plain server with a tus server in it, the part of the client that uploads, and a page that does nothing. */
export interface UploadServer {
  /** `http://127.0.0.1:…` */
  readonly origin: string
  readonly port: number
  /** Every request to the tus server so far, in short: `POST`, `PATCH 1000`. */
  readonly pieces: { what: string; url: string; headers: IncomingHttpHeaders }[]
  /** Asked before all else. */
  readonly before: Handler[]
  /** What has come of an upload so far. */
  stored(id: string): Promise<Buffer>
  close(): Promise<void>
}

const UPLOADS = `/sse${PATH_UPLOADS}`
const SCRIPT = new URL('../dist/upload.js', import.meta.url)

/** Tells what came, in all the ways in which answers differ. */
async function echo(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { origin = '*', cookie, 'x-own': own, 'content-type': type } = request.headers
  const status = Number(new URL(request.url ?? '', 'http://host').searchParams.get('status') ?? 200)
  response.setHeader('Access-Control-Allow-Origin', origin)
  response.setHeader('Access-Control-Allow-Credentials', 'true')
  response.setHeader('Access-Control-Allow-Headers', 'X-Own, Content-Type')
  if (request.method === 'OPTIONS') return void response.end()
  const { length } = await buffer(request)
  response.writeHead(status, { 'Retry-After': '7', 'X-Two': ['a', 'b'] })
  response.end(
    status === 204 ? undefined : JSON.stringify({ method: request.method, length, cookie, own, type }),
  )
}

export async function startUploadServer(): Promise<UploadServer> {
  const directory = await mkdtemp(join(tmpdir(), 'tabwire-uploads-'))
  const tus = new Server({
    path: UPLOADS,
    datastore: new FileStore({ directory }),
    // Its own way takes the query for a part of the id.
    getFileIdFromRequest: (_request, last) => last?.replace(/\?.*/, ''),
  })
  const pieces: UploadServer['pieces'] = []
  const before: Handler[] = []

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, headers, url = '' } = request
    if (url.startsWith(UPLOADS)) {
      const size = method === 'PATCH' ? ` ${headers['content-length']}` : ''
      pieces.push({ what: `${method}${size}`, url, headers })
    }
    if (before.some((handle) => handle(request, response))) return
    if (url.startsWith(UPLOADS)) return tus.handle(request, response)
    if (url.startsWith('/echo')) return echo(request, response)
    const isScript = url === '/upload.js'
    response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? await readFile(SCRIPT) : '<!doctype html><input type="file">')
  }

  // A request that is cut off is what the tests are about.
  const server = createServer((request, response) => void answer(request, response).catch(() => {}))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    pieces,
    before,
    stored: (id) => readFile(join(directory, id)),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await rm(directory, { recursive: true, force: true })
    },
  }
}
