import { appendFileSync, existsSync, readFileSync } from 'node:fs'

/** A handler has done its work. */
export interface Effect {
  readonly what: 'effect'
  /** Which server process. */
  readonly run: string
  readonly user: string
  readonly key: string
  readonly lane: string
  /** Who has sent it. */
  readonly from: number
  /** Its place in its lane. */
  readonly n: number
  /** Of the file, if it came with one. */
  readonly sha256?: string
}

/** A server process was killed here. */
export interface Death {
  readonly what: 'death'
  readonly run: string
  /** ms since 1970. */
  readonly at: number
}

export type Line = Effect | Death

/** What the servers have done, one after the other: a file that is only added to, so that a kill takes nothing from it. */
export class Journal {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  add(line: Line): void {
    appendFileSync(this.path, `${JSON.stringify(line)}\n`)
  }

  read(): Line[] {
    if (!existsSync(this.path)) return []
    return readFileSync(this.path, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
  }
}
