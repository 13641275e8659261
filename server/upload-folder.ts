import { createHash, randomBytes } from 'node:crypto'
import type { Stats } from 'node:fs'
import { lstat, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

/** ms after its last piece until an unfinished upload is gone. */
export const KEPT = 24 * 60 * 60 * 1000

/** Digits of an id that say whose it is; the other 36 nobody could guess. */
const OWNER_DIGITS = 32
const RANDOM_BYTES = 18
/** Of lower case only: some file systems take `a` and `A` for the same. */
const ID = /^[\da-f]{68}$/
const OTHERS_MAY_WRITE = 0o002
/** Beside each file lies what is known of it. */
const FACTS = '.json'
/** What stays of an upload that was answered: the digest of what it held. */
const DONE = '.done'
const SUFFIX = /\.(?:json|done)$/

/** Where unfinished uploads lie, each under its id. It alone knows which there are, so a restart forgets none. */
export class UploadFolder {
  readonly path: string

  constructor(path: string) {
    // A slash at the end would hide that it is a link.
    this.path = resolve(path)
  }

  /** @throws Error if what is there is not this process' own folder: others could read what users send, or put a link. */
  async prepare(): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 })
    await this.#check()
  }

  /** How many the user has. */
  async count(owner: string): Promise<number> {
    const names = await readdir(this.path)
    return idsIn(
      names.filter((name) => !name.endsWith(DONE)),
      owner,
    ).length
  }

  /** Removes what has waited for too long: of one user, or of all. */
  async sweep(owner?: string): Promise<void> {
    if ((await orNothing(lstat(this.path))) === undefined) return
    await this.#check()
    const oldest = Date.now() - KEPT
    for (const id of idsIn(await readdir(this.path), owner))
      if ((await this.#changed(id)) < oldest) await this.remove(id)
  }

  /** Whether an upload still lies here that has not waited for too long. */
  async has(id: string): Promise<boolean> {
    const file = await orNothing(stat(this.pathOf(id)))
    return file !== undefined && file.mtimeMs >= Date.now() - KEPT
  }

  pathOf(id: string): string {
    return join(this.path, id)
  }

  async remove(id: string): Promise<void> {
    const path = this.pathOf(id)
    await Promise.all([path, path + FACTS, path + DONE].map((file) => rm(file, { force: true })))
  }

  /** Removes an upload that was answered, but for what a repeat is known by. */
  async settle(id: string, digest: string | undefined): Promise<void> {
    const path = this.pathOf(id)
    if (digest !== undefined) await writeFile(path + DONE, digest)
    await Promise.all([path, path + FACTS].map((file) => rm(file, { force: true })))
  }

  /** Of an upload that was answered. */
  digestOf(id: string): Promise<string | undefined> {
    return orNothing(readFile(this.pathOf(id) + DONE, 'utf8'))
  }

  async #check(): Promise<void> {
    const found = await lstat(this.path)
    if (found.isDirectory() && isOurs(found)) return
    throw new Error(
      `${this.path} is no folder of this process' user alone; name another one by the option uploadFolder.`,
    )
  }

  /** When its last piece came. */
  async #changed(id: string): Promise<number> {
    const path = this.pathOf(id)
    const found = await Promise.all([path, path + FACTS, path + DONE].map((file) => orNothing(stat(file))))
    return Math.max(...found.map((file) => file?.mtimeMs ?? 0))
  }
}

/** Whether nobody else put it here, or may write in it. */
function isOurs({ uid, mode }: Stats): boolean {
  return process.getuid === undefined || (uid === process.getuid() && (mode & OTHERS_MAY_WRITE) === 0)
}

/** An id of nothing yet. */
export function newId(owner: string): string {
  return ownerPart(owner) + randomBytes(RANDOM_BYTES).toString('hex')
}

/** Whether a text from outside is an id: then it is safe as the name of a file. */
export function isUploadId(text: string | undefined): text is string {
  return text !== undefined && ID.test(text)
}

export function isOf(id: string, owner: string): boolean {
  return id.startsWith(ownerPart(owner))
}

function idsIn(names: readonly string[], owner?: string): string[] {
  const prefix = owner === undefined ? '' : ownerPart(owner)
  const ids = new Set(names.map((name) => name.replace(SUFFIX, '')))
  return [...ids].filter((id) => ID.test(id) && id.startsWith(prefix))
}

/** A digest: what tells users apart may be a secret of theirs. */
function ownerPart(owner: string): string {
  return createHash('sha256').update(owner).digest('hex').slice(0, OWNER_DIGITS)
}

async function orNothing<Value>(found: Promise<Value>): Promise<Value | undefined> {
  try {
    return await found
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
