import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'

const SCRIPT = 'text/javascript; charset=utf-8'
const MAP = 'application/json; charset=utf-8'

/** What is served, by its name here, and nothing else: the name in the URL is never a path. */
const TYPES = {
  'sse.js': SCRIPT,
  'sse.classic.js': SCRIPT,
  'sse.js.map': MAP,
  'outbox.js': SCRIPT,
  'outbox.js.map': MAP,
  'outbox-store.js': SCRIPT,
  'outbox-store.js.map': MAP,
  'upload.js': SCRIPT,
  'upload.js.map': MAP,
  'sse.d.ts': 'text/plain; charset=utf-8',
  'monitor.html': 'text/html; charset=utf-8',
  'monitor.css': 'text/css; charset=utf-8',
  'monitor.js': SCRIPT,
  'monitor.js.map': MAP,
} as const

/** A part of the built client. */
export type Asset = keyof typeof TYPES

/** The compressions, the best first. */
const CODERS = { br: promisify(brotliCompress), gzip: promisify<Buffer, Buffer>(gzip) } as const

type Coding = keyof typeof CODERS | 'identity'

interface Content {
  readonly bytes: Buffer
  readonly etag: string
}

/** What the request says of what it accepts. */
export interface Wanted {
  readonly acceptEncoding: string | undefined
  readonly ifNoneMatch: string | undefined
}

export interface Served {
  readonly status: 200 | 304
  readonly headers: Readonly<Record<string, string | number>>
  readonly body: Buffer
}

/** Serves the built client, which lies beside this file in `dist/`. Read and compressed once, when first asked for. */
export class Sdk {
  readonly #contents = new Map<string, Promise<Content>>()

  /** @throws Error if the client was not built. */
  async get(asset: Asset, { acceptEncoding, ifNoneMatch }: Wanted): Promise<Served> {
    const coding = chooseCoding(acceptEncoding)
    const { bytes, etag } = await this.#content(asset, coding)
    const headers = { ETag: etag, 'Cache-Control': 'no-cache' }
    if (isMatch(etag, ifNoneMatch)) return { status: 304, headers, body: Buffer.alloc(0) }
    const ofBody = { 'Content-Type': TYPES[asset], 'Content-Length': bytes.length }
    const ofCoding = coding === 'identity' ? {} : { 'Content-Encoding': coding }
    return { status: 200, headers: { ...headers, ...ofBody, ...ofCoding }, body: bytes }
  }

  #content(asset: Asset, coding: Coding): Promise<Content> {
    const key = `${asset} ${coding}`
    const known = this.#contents.get(key)
    if (known !== undefined) return known
    const made = coding === 'identity' ? read(asset) : this.#compress(asset, coding)
    this.#contents.set(key, made)
    // Not for ever: the build may still be under way.
    made.catch(() => this.#contents.delete(key))
    return made
  }

  async #compress(asset: Asset, coding: keyof typeof CODERS): Promise<Content> {
    const { bytes, etag } = await this.#content(asset, 'identity')
    // [RFC 9110, 8.8.3.3] each coding of a content is a representation with a strong tag of its own.
    return { bytes: await CODERS[coding](bytes), etag: etag.replace(/"$/, `-${coding}"`) }
  }
}

async function read(asset: Asset): Promise<Content> {
  const bytes = await readFile(new URL(asset, import.meta.url))
  const hash = createHash('sha256').update(bytes).digest('base64url')
  return { bytes, etag: `"${hash}"` }
}

/** [RFC 9110, 12.5.3] what is not named is accepted as `*` says, if at all; `q=0` forbids. */
function chooseCoding(acceptEncoding = ''): Coding {
  const weights = new Map<string, number>()
  for (const part of acceptEncoding.toLowerCase().split(',')) {
    const [name = '', weight = 'q=1'] = part.split(';').map((text) => text.trim())
    weights.set(name, Number(weight.replace(/^q=/, '')))
  }
  const codings = Object.keys(CODERS) as (keyof typeof CODERS)[]
  return codings.find((coding) => (weights.get(coding) ?? weights.get('*') ?? 0) > 0) ?? 'identity'
}

/** [RFC 9110, 13.1.2] `If-None-Match` compares weakly: a proxy may have put `W/` before our tag. */
function isMatch(etag: string, ifNoneMatch = ''): boolean {
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes(etag) || tags.includes('*')
}
