import type { Page } from 'playwright'
import type { OutboxCore, Progress } from '../client/part'
import type { Pieces, UploaderModule } from '../client/uploader'
import { until } from './harness'

/** What became of something that was sent. */
export interface Outcome {
  /** Id of the upload, if all is there. */
  id?: string
  status?: number
  headers?: Record<string, string>
  body?: string
  /** `name: message` of what it was rejected with. */
  error?: string
  /** Uploads that were begun. */
  begun: string[]
  progress: Progress[]
}

/** What the tests have in the page. */
export interface UploadWindow {
  part: UploaderModule
  core: OutboxCore
  /** Changes with who is logged in. */
  token: string
  /** So many times as fast do the timers of the part run. */
  speed: number
  abort: AbortController
  outcome: Outcome | undefined
  /** Where the outcome to come stands so far. */
  soFar: Outcome
  blobs: Record<string, Blob>
  send(work: (pieces: Pick<Pieces, 'onId' | 'onProgress' | 'signal'>) => Promise<string | Response>): void
}

declare global {
  interface Window extends UploadWindow {}
}

/** Bytes that show where they belong. */
export const bytesOf = (size: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: size }, (_, n) => n % 251))

/** Loads the part, and stands in for what it is given by the client. */
export async function prepare(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const address = '/upload.js'
    Object.assign(window, { part: await import(address), token: 'old', speed: 1, blobs: {} })
    const core: Pick<OutboxCore, 'options' | 'ExpiredError' | 'address' | 'headers'> & { env: object } = {
      env: {
        setTimeout: (run: () => void, ms: number) => setTimeout(run, ms / window.speed),
        clearTimeout: (timer: number) => clearTimeout(timer),
      },
      options: { withCredentials: true } as OutboxCore['options'],
      ExpiredError: class extends Error {
        override name = 'ExpiredError'
      },
      address: (path) => `/sse${path}?token=${window.token}`,
      headers: async () => new Headers({ Authorization: `Bearer ${window.token}` }),
    }
    window.core = core as OutboxCore
    window.send = (work) => {
      const soFar: Outcome = { begun: [], progress: [] }
      const { begun, progress } = soFar
      const end = (more: Partial<Outcome>): void => {
        window.outcome = { ...soFar, ...more }
      }
      window.abort = new AbortController()
      Object.assign(window, { outcome: undefined, soFar })
      const { signal } = window.abort
      work({ onId: (id) => begun.push(id), onProgress: (bytes) => progress.push(bytes), signal }).then(
        async (answer) => {
          if (typeof answer === 'string') return end({ id: answer })
          const { status, headers } = answer
          end({ status, headers: Object.fromEntries(headers), body: await answer.text() })
        },
        (error) => end({ error: `${error.name}: ${error.message}` }),
      )
    }
  })
}

/** Begins to send so many of the bytes in pieces. */
export const begin = (page: Page, size: number, { chunk = 1_000_000, id = '' } = {}): Promise<void> =>
  page.evaluate(
    ({ size, chunk, id }) => {
      const { core, part, blobs } = window
      blobs[size] ??= new Blob([Uint8Array.from({ length: size }, (_, n) => n % 251)])
      const blob = blobs[size]
      window.send((watch) => part.sendPieces(core, { blob, chunk, id: id || undefined, ...watch }))
    },
    { size, chunk, id },
  )

/** Waits until it is settled. */
export const settled = (page: Page): Promise<Outcome> =>
  until(() => page.evaluate(() => window.outcome as Outcome), 'the promise to settle', 20_000)
