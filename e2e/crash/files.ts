import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRandom } from '../soak/random'

const KB = 1000
const MB = 1000 * KB
const MIB = 1024 * 1024
/** Small, large, and around the size from which a form goes in pieces. */
const SIZES = [1 * KB, 3 * MB, 60 * KB, MIB + 1, 10 * KB, MIB - 1, MIB]

export interface RealFile {
  readonly path: string
  readonly sha256: string
}

/** Files on the disk of the person at the browser. */
export class Files {
  readonly all: readonly RealFile[]
  readonly folder: string

  private constructor(folder: string, all: readonly RealFile[]) {
    this.folder = folder
    this.all = all
  }

  static async make(count: number): Promise<Files> {
    const folder = await mkdtemp(join(tmpdir(), 'tabwire-crash-'))
    const random = createRandom(count)
    const make = async (_: unknown, index: number): Promise<RealFile> => {
      // Of each order of magnitude as many.
      const bytes = randomBytes(SIZES[index] ?? Math.round(KB * 3000 ** random.next()))
      const path = join(folder, `file ${index}.bin`)
      await writeFile(path, bytes)
      return { path, sha256: createHash('sha256').update(bytes).digest('hex') }
    }
    return new Files(folder, await Promise.all(Array.from({ length: count }, make)))
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true })
  }
}
