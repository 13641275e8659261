import type { Page } from 'playwright'
import { choose } from '../choose'
import type { Files } from './files'

/** Something that is sent, once. */
export interface Send {
  readonly key: string
  readonly lane: string
  /** Who has sent it. */
  readonly from: number
  /** Its place in its lane. */
  readonly n: number
  /** With a header of its own, so that it goes by itself. */
  readonly isAlone: boolean
  /** The application keeps the key together with the effect. */
  readonly isExact: boolean
  /** ms that the handler takes. */
  readonly work: number
  /** Which file goes with it. */
  readonly file?: number
}

/** What became of a promise in the page. */
export interface Outcome {
  /** The status, or the error. */
  readonly what: number | string
  /** ms since 1970. */
  readonly at: number
}

declare global {
  interface Window {
    /** By key; `null`: not settled. */
    outcomes: Record<string, Outcome | null>
    /** What `sse-outbox` has told that is no good news. */
    troubles: string[]
    follow(key: string, response: Promise<Response>): void
  }
}

/** To be called after each load: keeps the books of the page, also of what it has found there from before. */
export async function prepare(page: Page): Promise<void> {
  await page.evaluate(async () => {
    await window.ready
    window.outcomes = {}
    window.troubles = []
    window.follow = (key, response) => {
      const { outcomes } = window
      if (key in outcomes) return
      const settle = (what: number | string): void => {
        outcomes[key] = { what, at: Date.now() }
      }
      outcomes[key] = null
      response.then(
        ({ status }) => settle(status),
        (error) => settle(String(error)),
      )
    }
    const followRestored = async (): Promise<void> => {
      for (const { key, response } of await window.sse.pending()) window.follow(key, response)
    }
    const BAD = ['rejected', 'waiting', 'unkept', 'corrupt']
    window.sse.on('sse-outbox', ({ data }: { data: { type: string } }) => {
      if (data.type === 'restored') void followRestored()
      if (BAD.includes(data.type)) window.troubles.push(JSON.stringify(data))
    })
    const input = document.createElement('input')
    Object.assign(input, { type: 'file', multiple: true })
    document.body.append(input)
    void followRestored()
  })
}

/** Sends all at once. */
export async function send(page: Page, sends: readonly Send[], files: Files): Promise<void> {
  const paths = sends.flatMap(({ file }) => (file === undefined ? [] : [files.all[file]?.path ?? '']))
  if (paths.length) await choose(page, paths)
  await page.evaluate((sends) => {
    const chosen = [...(document.querySelector('input')?.files ?? [])]
    for (const { key, lane, from, n, isAlone, isExact, work, file } of sends) {
      const facts = { from, n, work, exact: Number(isExact) }
      const headers = isAlone ? { 'X-Alone': 'yes' } : {}
      if (file === undefined) window.follow(key, window.sse.send(lane, facts, {}, headers, { key }))
      else {
        const form = new FormData()
        for (const [name, value] of Object.entries(facts)) form.set(name, String(value))
        form.set('file', chosen.shift() as File)
        window.follow(key, window.sse.upload(lane, form, {}, headers, { key }))
      }
    }
  }, sends)
}

/** The keys of what the browser keeps, of all tabs. */
export const kept = (page: Page): Promise<string[]> =>
  page.evaluate(async () => {
    // To open what is not there would make an empty one.
    const isThere = (await indexedDB.databases()).some(({ name }) => name === 'tabwire')
    if (!isThere) return []
    const result = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result)
        request.onerror = () => reject(request.error)
      })
    const database = await result(indexedDB.open('tabwire'))
    try {
      const transaction = database.transaction(['requests', 'bodies'])
      const heads = await result(transaction.objectStore('requests').getAll())
      const bodies = await result(transaction.objectStore('bodies').getAllKeys())
      const ids = new Set<unknown>(heads.map(({ id }) => id))
      const orphans = bodies.filter((id) => !ids.has(id)).map((id) => `body ${id}`)
      return [...heads.map(({ request }) => request.key as string), ...orphans]
    } finally {
      database.close()
    }
  })

export const outcomesOf = (page: Page): Promise<Record<string, Outcome | null>> =>
  page.evaluate(() => window.outcomes)

export const troublesOf = (page: Page): Promise<string[]> => page.evaluate(() => window.troubles)

/** Nothing is under way, for all that the page knows. */
export const isIdle = (page: Page): Promise<boolean> =>
  page.evaluate(async () => {
    const isSettled = Object.values(window.outcomes).every((outcome) => outcome !== null)
    return isSettled && (await window.sse.pending()).length === 0
  })
