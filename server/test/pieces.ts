import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { SseOptions } from 'tabwire/server'
import { type Answer, type App, rawRequest, serve, type TestUser } from './helpers'

/** A form, and what is to be seen of it. */
export interface Form {
  bytes: Buffer
  type: string
  digest: string
}

/** One file of random bytes, and a text. */
export function formOf(size: number): Form {
  const content = randomBytes(size)
  const boundary = `b${randomBytes(8).toString('hex')}`
  const part = (rest: string) => `--${boundary}\r\nContent-Disposition: form-data; ${rest}\r\n\r\n`
  const bytes = Buffer.concat([
    Buffer.from(`${part('name="note"')}hello\r\n${part('name="file"; filename="f.bin"')}`),
    content,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
  return { bytes, type: `multipart/form-data; boundary=${boundary}`, digest: digestOf(content) }
}

export const digestOf = (content: Buffer): string => createHash('sha256').update(content).digest('hex')

/** Tells of each file what it holds. */
const onUpload: NonNullable<SseOptions<TestUser>['onUpload']> = async (
  path,
  _connection,
  message,
  files,
) => ({
  path,
  message,
  files: await Promise.all(files.map(async (file) => digestOf(await file.buffer()))),
})

/** Gone after the test, unlike what is left in the folders that services make for themselves. */
export function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tabwire-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A service that takes uploads in pieces into a folder of its own. */
export async function serveUploads(
  t: TestContext,
  options: Parameters<typeof serve>[1] = {},
  prepare?: Parameters<typeof serve>[2],
): Promise<{ app: App; folder: string }> {
  const folder = options.uploadFolder ?? folderFor(t)
  return { app: await serve(t, { onUpload, uploadFolder: folder, ...options }, prepare), folder }
}

export const TUS = { 'tus-resumable': '1.0.0' }

export function creation(
  app: App,
  user: TestUser,
  length: number | string,
  query = '',
  headers: Record<string, string> = {},
): Promise<Answer> {
  return app.call(`/connect/uploads${query}`, {
    as: user,
    method: 'POST',
    headers: { ...TUS, 'upload-length': String(length), ...headers },
  })
}

/** Path of a new upload below the base. */
export async function create(app: App, user: TestUser, length: number): Promise<string> {
  const { status, headers, text } = await creation(app, user, length)
  assert.equal(status, 201, text)
  const { pathname, search } = new URL(headers.get('location') ?? '', `${app.base}/connect/uploads`)
  return pathname.slice(new URL(app.base).pathname.length) + search
}

export const idOf = (path: string): string => path.replace('/connect/uploads/', '')

export function head(app: App, user: TestUser, path: string): Promise<Answer> {
  return app.call(path, { as: user, method: 'HEAD', headers: TUS })
}

/** How many bytes are there. */
export async function offsetOf(app: App, user: TestUser, path: string): Promise<number> {
  const { status, headers } = await head(app, user, path)
  assert.equal(status, 200)
  return Number(headers.get('upload-offset'))
}

export function patch(
  app: App,
  user: TestUser,
  path: string,
  offset: number | string,
  bytes: Buffer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return app.call(path, {
    as: user,
    method: 'PATCH',
    headers: {
      ...TUS,
      'upload-offset': String(offset),
      'content-type': 'application/offset+octet-stream',
      ...headers,
    },
    body: new Uint8Array(bytes),
  })
}

/** A new upload of which all bytes are there. */
export async function complete(app: App, user: TestUser, { bytes }: Form): Promise<string> {
  const path = await create(app, user, bytes.length)
  assert.equal((await patch(app, user, path, 0, bytes)).status, 204)
  return path
}

/** The request that makes a form of the pieces. */
export function final(
  app: App,
  user: TestUser,
  connectionId: string,
  path: string,
  { type }: Pick<Form, 'type'>,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return app.call(`/connect/upload/x.do?connectionId=${connectionId}&q=1`, {
    as: user,
    method: 'POST',
    headers: { 'content-type': type, 'x-sse-upload': idOf(path), ...headers },
  })
}

/** A piece on a socket of our own, of which only the beginning is sent. */
export async function begin(
  app: App,
  user: TestUser,
  path: string,
  { offset = 0, length, sent }: { offset?: number; length?: number; sent: Buffer },
) {
  const size = length === undefined ? `Transfer-Encoding: chunked` : `Content-Length: ${length}`
  const head = [
    `PATCH /sse/hr${path} HTTP/1.1`,
    'Host: x',
    `X-User: ${JSON.stringify(user)}`,
    'Tus-Resumable: 1.0.0',
    `Upload-Offset: ${offset}`,
    'Content-Type: application/offset+octet-stream',
    size,
  ]
  const { socket, answer } = await rawRequest(app.port, `${head.join('\r\n')}\r\n\r\n`)
  if (sent.length > 0) await new Promise((resolve) => socket.write(sent, resolve))
  return { socket, answer }
}
