import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRandom } from '../soak/random'
import { until } from '../until'
import { Books } from './books'
import { TortureClient } from './client'
import { BASE, TortureServer } from './server'

export interface TortureOptions {
  readonly kills: number
  readonly seed: number
  readonly onProgress?: (line: string) => void
}

/** Two of the first: what one of them has acknowledged, the other is shown as well. */
const USERS = ['ann', 'ann', 'bob', 'cat', 'dan', 'eve']
/** ms that a process lives, at most. */
const LIFE = 600
/** Of those that are killed before they listen, perhaps amid the recovery of the file. */
const EARLY = 0.15
/** ms between things that happen. */
const PACE = 4
/** ms that it may take until all has come. */
const LAST = 60_000
const PROGRESS = 10

/** Kills a server again and again amid its work. @returns the books; they hold what must not be. */
export async function torture({ kills, seed, onProgress }: TortureOptions): Promise<Books> {
  const folder = mkdtempSync(join(tmpdir(), 'tabwire-torture-'))
  const files = [join(folder, 'store.db'), join(folder, 'journal')] as const
  const books = new Books(files[1])
  const server = new TortureServer(files, (told) => books.told(told))
  await server.start()
  const url = `http://127.0.0.1:${server.port}${BASE}`
  const clients = USERS.map((user, at) => new TortureClient(`${user} ${at}`, user, url, books))
  const load = new Load(createRandom(seed), server, clients, books)
  try {
    // What is sent before is not for who has never been there.
    await until(() => clients.every(({ isOpen }) => isOpen), 'all clients to be there')
    for (let killed = 1; killed <= kills; killed++) {
      await load.run()
      await server.kill()
      books.killed()
      if (killed % PROGRESS === 0) onProgress?.(`${killed} kills: ${books}`)
      if (killed < kills) await load.restart()
    }
    await server.start()
    await load.finish()
  } finally {
    for (const client of clients) client.close()
    await server.kill()
  }
  books.killed()
  for (const flaw of flawsOf(files[0])) books.violate(flaw)
  rmSync(folder, { recursive: true })
  return books
}

class Load {
  readonly #random
  readonly #server
  readonly #clients
  readonly #books
  #n = 0

  constructor(
    random: ReturnType<typeof createRandom>,
    server: TortureServer,
    clients: readonly TortureClient[],
    books: Books,
  ) {
    this.#random = random
    this.#server = server
    this.#clients = clients
    this.#books = books
  }

  /** All sorts of things, for as long as this process may live. */
  async run(): Promise<void> {
    for (const client of this.#clients) client.wake()
    const end = performance.now() + this.#random.whole(0, LIFE)
    while (performance.now() < end) {
      this.#doSomething()
      await sleep(PACE)
    }
  }

  async restart(): Promise<void> {
    while (this.#random.chance(EARLY)) {
      const started = this.#server.start()
      await Promise.race([started, sleep(this.#random.whole(0, LIFE))])
      await this.#server.kill()
      await started
    }
    await this.#server.start()
  }

  /** Waits until all that was accepted has come. */
  async finish(): Promise<void> {
    for (const client of this.#clients) {
      client.show()
      client.wake()
    }
    const missing = () => this.#books.missing(this.#clients)
    await until(() => missing().length === 0, 'all to come', LAST).catch(() => {
      for (const what of missing()) this.#books.violate(`lost: ${what}`)
    })
  }

  #doSomething(): void {
    const random = this.#random
    const client = random.pick(this.#clients)
    const n = ++this.#n
    if (random.chance(0.02)) client.hide()
    else if (random.chance(0.1)) client.show()
    if (random.chance(0.3)) return void client.ask(n)
    this.#books.sent(n, client.user)
    this.#server.send({ user: client.user, n, isSure: random.chance(0.5) })
  }
}

/** Of the file: what SQLite finds, and sums that are not those of what is there. */
function flawsOf(file: string): string[] {
  const Sqlite: typeof import('better-sqlite3') = createRequire(import.meta.url)('better-sqlite3')
  const db = new Sqlite(file)
  const check = String(db.pragma('integrity_check', { simple: true }))
  const wrong = db
    .prepare(
      `SELECT name FROM service WHERE bytes != (SELECT sum(bytes) FROM event WHERE service = service.id)
      OR topics != (SELECT count(*) FROM topic WHERE service = service.id)
      OR waiting != (SELECT count(*) FROM message WHERE service = service.id)`,
    )
    .all()
  db.close()
  return [
    ...(check === 'ok' ? [] : [check]),
    ...(wrong.length === 0 ? [] : ['the sums in the file are wrong']),
  ]
}
