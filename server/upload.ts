import { createReadStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import multer from 'multer'
import { HttpError } from './errors'
import { checkKeys } from './params'

/** Text fields in one form. */
const MAX_FIELDS = 200
/** Levels and indices in names like `a[b][7]`, which become objects and arrays. */
const MAX_NESTING = 8
const MAX_INDEX = 1000
/** What multer says is too much; anything else that it refuses is malformed. */
const TOO_MUCH = [
  'LIMIT_PART_COUNT',
  'LIMIT_FILE_SIZE',
  'LIMIT_FILE_COUNT',
  'LIMIT_FIELD_KEY',
  'LIMIT_FIELD_VALUE',
  'LIMIT_FIELD_COUNT',
]

interface Limits {
  /** Bytes of one text field. */
  readonly bodyLimit: number
  /** Bytes of one file. */
  readonly uploadLimit: number
  readonly maxFiles: number
}

type Middleware = ReturnType<multer.Multer['any']>
type Request = Parameters<Middleware>[0]
type Response = Parameters<Middleware>[1]

/** What we take from multer, whose types are not to show in ours. */
interface Received {
  readonly fieldname: string
  readonly originalname: string
  readonly mimetype: string
  readonly size: number
  readonly path: string
}

/** What a form held. */
export interface Upload {
  readonly fields: Record<string, unknown>
  readonly files: UploadedFile[]
}

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
  constructor(file: Received) {
    this.field = file.fieldname
    this.name = file.originalname
    this.type = file.mimetype
    this.size = file.size
    this.path = file.path
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
}

/**
 * Receives a form into a temporary folder of its own, which is gone when `use` has settled.
 * @throws HttpError 400 malformed, 413 too large or too many, 415 no form; and what `use` throws.
 */
export async function withUpload<Result>(
  req: Request,
  res: Response,
  limits: Limits,
  use: (upload: Upload) => Result,
): Promise<Awaited<Result>> {
  checkHead(req, limits)
  const folder = await mkdtemp(join(tmpdir(), 'tabwire-'))
  try {
    return await use(await receive(req, res, folder, limits))
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

function checkHead(req: Request, { bodyLimit, uploadLimit, maxFiles }: Limits): void {
  if (!/^multipart\/form-data\s*(?:;|$)/i.test(req.headers['content-type'] ?? '')) {
    throw new HttpError(415, 'The content type must be multipart/form-data.')
  }
  // What cannot fit is refused before it is sent; the exact limits are checked on the way.
  if (Number(req.headers['content-length'] ?? 0) > uploadLimit * maxFiles + bodyLimit * MAX_FIELDS) {
    throw new HttpError(413, 'The upload is too large.')
  }
}

async function receive(req: Request, res: Response, folder: string, limits: Limits): Promise<Upload> {
  const middleware = middlewareFor(folder, limits)
  await new Promise<void>((resolve, reject) => {
    middleware(req, res, (error?: unknown) =>
      error === undefined ? resolve() : reject(refusal(error, limits)),
    )
  })
  if (!Array.isArray(req.files)) throw new HttpError(400, 'The form is empty.')
  checkKeys(req.body)
  return { fields: { ...req.body }, files: req.files.map((file) => new UploadedFile(file)) }
}

function middlewareFor(folder: string, { bodyLimit, uploadLimit, maxFiles }: Limits): Middleware {
  const limits = {
    fileSize: uploadLimit,
    files: maxFiles,
    fields: MAX_FIELDS,
    fieldSize: bodyLimit,
    fieldNestingDepth: MAX_NESTING,
    fieldArrayIndexLimit: MAX_INDEX,
  }
  // [RFC 7578, 5.1] browsers send names as UTF-8.
  return multer({
    storage: multer.diskStorage({ destination: folder }),
    limits,
    defParamCharset: 'utf8',
  }).any()
}

function refusal(error: unknown, { uploadLimit, maxFiles }: Limits): unknown {
  if (!(error instanceof multer.MulterError))
    return isOfSystem(error) ? error : new HttpError(400, 'The form is malformed.')
  if (!TOO_MUCH.includes(error.code)) return new HttpError(400, `The form is malformed: ${error.message}.`)
  const allowed = `at most ${maxFiles} files of ${uploadLimit} bytes are accepted`
  return new HttpError(413, `The upload is too large: ${error.message.toLowerCase()}; ${allowed}.`)
}

/** A full disk is our failure, not the client's. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
