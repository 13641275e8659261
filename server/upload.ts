import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import busboy, { type Busboy } from 'busboy'
import { cutOff, HttpError } from './errors'
import { digestOf } from './key'
import { type Params, paramsOf } from './params'
import { watch } from './patience'

/** Text fields in one form. */
const MAX_FIELDS = 200
/** Bytes of the head of one part of a form; the parser takes no more. */
const MAX_PART_HEAD = 16 * 1024

/** What is accepted of a form. */
export interface UploadLimits {
  /** Bytes of all text fields together. */
  readonly bodyLimit: number
  /** Bytes of one file. */
  readonly uploadLimit: number
  readonly maxFiles: number
  /** Bytes of all files and text fields together. */
  readonly uploadTotal: number
  /** ms without a byte. */
  readonly bodyIdleTimeout: number
  /** ms for all of it. */
  readonly uploadTimeout: number
  /** Whether the content is to have a digest. */
  readonly isDigested?: boolean
}

/** What a form held. */
export interface Upload {
  readonly fields: Params
  readonly files: UploadedFile[]
  /** Equal exactly if texts and files are, however they were sent; if asked for. */
  readonly digest?: string
}

type Refuse = (error: unknown) => void

type FileFacts = Pick<UploadedFile, 'field' | 'name' | 'type' | 'size' | 'path'>

/** A file that a page sent. It lies in a temporary folder until `onUpload` has settled. */
export class UploadedFile {
  /** Name of the form's field. */
  readonly field: string
  /** The file's name on the sender's machine: data, never a path to write to. */
  readonly name: string
  /** Media type, as the sender says. */
  readonly type: string
  /** Bytes. */
  readonly size: number
  /** Where it lies now. */
  readonly path: string

  /** @internal */
  constructor({ field, name, type, size, path }: FileFacts) {
    this.field = field
    this.name = name
    this.type = type
    this.size = size
    this.path = path
  }

  stream(): Readable {
    return createReadStream(this.path)
  }

  /** The content as UTF-8. */
  text(): Promise<string> {
    return readFile(this.path, 'utf8')
  }

  buffer(): Promise<Buffer> {
    return readFile(this.path)
  }

  /** Without the path: an answer must not tell where files lie on the server. */
  toJSON(): Omit<FileFacts, 'path'> {
    const { field, name, type, size } = this
    return { field, name, type, size }
  }
}

/**
 * Receives a form into a temporary folder of its own, which is gone when `use` has settled. What is too much or
 * malformed is refused as soon as it is seen; the rest of the request is then still to be read.
 * @param body The form, if it did not come with the request.
 * @throws HttpError 400 malformed, 408 too slow, 413 too large or too many, 415 no form; and what `use` throws.
 */
export async function withUpload<Result>(
  req: IncomingMessage,
  limits: UploadLimits,
  use: (upload: Upload) => Result,
  body: Readable = req,
): Promise<Awaited<Result>> {
  checkHead(req, limits)
  const folder = await mkdtemp(join(tmpdir(), 'tabwire-upload-'))
  try {
    return await use(await receive(req, body, folder, limits))
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

function checkHead(req: IncomingMessage, limits: UploadLimits): void {
  if (!/^multipart\/form-data\s*(?:;|$)/i.test(req.headers['content-type'] ?? '')) {
    throw new HttpError(415, 'The content type must be multipart/form-data.')
  }
  // What cannot fit is refused before it is sent; the exact limits are checked on the way.
  if (Number(req.headers['content-length'] ?? 0) > mostBytes(limits)) throw tooLong()
}

/** Bytes that no form within the limits can exceed. */
export function mostBytes({ bodyLimit, uploadLimit, maxFiles, uploadTotal }: UploadLimits): number {
  const files = maxFiles === 0 ? 0 : uploadLimit * maxFiles
  return Math.min(files + bodyLimit, uploadTotal) + MAX_PART_HEAD * (maxFiles + MAX_FIELDS)
}

async function receive(
  req: IncomingMessage,
  body: Readable,
  folder: string,
  limits: UploadLimits,
): Promise<Upload> {
  const form = new Form(folder, limits)
  try {
    const parser = parserFor(req, limits)
    await form.read(body, parser)
    const files = await Promise.all(form.files)
    const upload = { fields: paramsOf(form.fields), files }
    return limits.isDigested ? { ...upload, digest: form.digest(files) } : upload
  } catch (error) {
    throw error instanceof HttpError || isOfSystem(error)
      ? error
      : new HttpError(400, 'The form is malformed.')
  } finally {
    // A file that is still being written would be left behind when the folder goes.
    await Promise.allSettled(form.files)
  }
}

/** @throws Error if the content type names no boundary. */
function parserFor({ headers }: IncomingMessage, { bodyLimit, uploadLimit, maxFiles }: UploadLimits): Busboy {
  // One more than the limit: the parser cuts at the number it is given, so what is just as long would look cut.
  const limits = {
    fileSize: uploadLimit + 1,
    fieldSize: bodyLimit + 1,
    files: maxFiles,
    fields: MAX_FIELDS,
  }
  // [RFC 7578, 5.1] browsers send names as UTF-8.
  return busboy({ headers, limits, defParamCharset: 'utf8' })
}

/** What has come of a form. */
class Form {
  readonly fields: [name: string, value: string][] = []
  readonly files: Promise<UploadedFile>[] = []
  readonly #folder: string
  readonly #limits: UploadLimits
  /** Of the contents of the files, by their paths. */
  readonly #hashes = new Map<string, string>()
  #fieldBytes = 0
  #bytes = 0

  constructor(folder: string, limits: UploadLimits) {
    this.#folder = folder
    this.#limits = limits
  }

  digest(files: readonly UploadedFile[]): string {
    const contents = files.map(({ field, name, type, path }) => [field, name, type, this.#hashes.get(path)])
    return digestOf(this.fields, contents)
  }

  /** Rejects with the first thing that is wrong, without waiting for the end of the body. */
  async read(body: Readable, parser: Busboy): Promise<void> {
    const { bodyIdleTimeout: idle, uploadTimeout: total } = this.#limits
    let stop = () => {}
    try {
      await new Promise<void>((resolve, reject) => {
        this.#listen(parser, reject)
        // Not `once`: one piece of a malformed form may bring several errors.
        parser.on('error', reject).once('close', resolve)
        stop = watch(body, { idle, total }, reject)
        this.#feed(body, parser, reject)
      })
    } finally {
      stop()
      body.unpipe(parser)
      parser.destroy()
    }
  }

  #feed(body: Readable, parser: Busboy, refuse: Refuse): void {
    const most = mostBytes(this.#limits)
    let size = 0
    body.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > most) refuse(tooLong())
    })
    const broken = (error: unknown) => refuse(body instanceof IncomingMessage ? cutOff() : error)
    // It also hears of a request that was gone before anybody listened.
    finished(body, { writable: false }, (error) => (error ? broken(error) : parser.end()))
    body.pipe(parser, { end: false })
  }

  #listen(parser: Busboy, refuse: Refuse): void {
    parser.on('field', (name: string | undefined, value, { valueTruncated }) => {
      const size = Buffer.byteLength(value)
      this.#fieldBytes += size
      const fits = this.#hasRoom(size) && this.#fieldBytes <= this.#limits.bodyLimit
      if (name === undefined) refuse(nameless())
      else if (valueTruncated || !fits) refuse(this.#tooMuch())
      else this.fields.push([plainName(name), value])
    })
    parser.on('file', (field: string | undefined, content, { filename, mimeType: type }) => {
      // What the parser is not done with when it is destroyed fails as well.
      content.on('error', () => {})
      // [HTML, 4.10.22.4] a file input where nothing was chosen sends a file without a name.
      if (!filename) return void content.resume()
      if (field === undefined) return refuse(nameless())
      content.once('limit', () => refuse(this.#tooMuch()))
      const saved = this.#save(content, { field: plainName(field), name: plainName(filename), type })
      saved.catch(refuse)
      this.files.push(saved)
    })
    parser.once('filesLimit', () => refuse(this.#tooMuch()))
    parser.once('fieldsLimit', () => refuse(this.#tooMuch()))
  }

  #hasRoom(bytes: number): boolean {
    this.#bytes += bytes
    return this.#bytes <= this.#limits.uploadTotal
  }

  #tooMuch(): HttpError {
    const { bodyLimit, uploadLimit, maxFiles, uploadTotal } = this.#limits
    const most = `${maxFiles} files of ${uploadLimit} bytes, and ${MAX_FIELDS} texts of ${bodyLimit} bytes in all`
    return new HttpError(
      413,
      `The upload is too large: at most ${most} are accepted, ${uploadTotal} together.`,
    )
  }

  async #save(content: Readable, facts: Pick<FileFacts, 'field' | 'name' | 'type'>): Promise<UploadedFile> {
    const path = join(this.#folder, String(this.files.length))
    const target = createWriteStream(path)
    await pipeline(content, (chunks) => this.#measured(chunks, path), target)
    return new UploadedFile({ ...facts, path, size: target.bytesWritten })
  }

  async *#measured(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
    const hash = this.#limits.isDigested ? createHash('sha256') : undefined
    for await (const chunk of chunks) {
      if (!this.#hasRoom(chunk.length)) throw this.#tooMuch()
      hash?.update(chunk)
      yield chunk
    }
    if (hash !== undefined) this.#hashes.set(path, hash.digest('base64url'))
  }
}

/** [HTML, 4.10.22.8] browsers escape these three in names, and nothing else. */
function plainName(name: string): string {
  return name.replace(/%0D|%0A|%22/gi, decodeURIComponent)
}

function nameless(): HttpError {
  return new HttpError(400, 'A part of the form has no name.')
}

function tooLong(): HttpError {
  return new HttpError(413, 'The upload is too large.')
}

/** A full disk is our failure, not the client's. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
