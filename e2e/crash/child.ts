/** What `backend.ts` starts: `child.ts <journal>`. It waits to be told where to listen. */
import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Request, RequestHandler, Response } from 'express'
import type { TestUser } from '../app'
import { startServer } from '../server'
import type { Arm, Order, Told } from './backend'
import { type Effect, Journal } from './journal'

/** The part of the work that is done when it counts. */
const MOST = 0.7
/** What the faults are for; others on the way would spoil the count of them. */
const SENDS = /\/connect\/(message|upload|batch)/

const [journalPath = ''] = process.argv.slice(2)
const journal = new Journal(journalPath)
const run = randomUUID()
const placeOf = (user: string, key: string): string => `${user} ${key}`
/** What is done already, for requests that want it exactly once. */
const done = new Set<string>()
let armed: Arm | undefined
/** Resolves when handlers may go on. */
let gate = Promise.resolve()
let open = (): void => {}

const tell = (told: Told): unknown => process.send?.(told)

function dieIf(arm: Arm): void {
  if (armed !== arm) return
  journal.add({ what: 'death', run, at: Date.now() })
  process.kill(process.pid, 'SIGKILL')
}

type Facts = Record<'from' | 'n' | 'exact' | 'work', unknown>

async function work(user: TestUser, key: string, lane: string, facts: Facts, sha256?: string): Promise<void> {
  await gate
  await sleep(Number(facts.work) * MOST)
  dieIf('kill before')
  const place = placeOf(user.id, key)
  const isDone = Number(facts.exact) && done.has(place)
  // The line is both: the effect, and the key in one transaction with it.
  if (!isDone) journal.add(effectOf())
  done.add(place)
  dieIf('kill after')
  await sleep(Number(facts.work) * (1 - MOST))

  function effectOf(): Effect {
    const { from, n } = facts
    const own = { run, user: user.id, key, lane, from: Number(from), n: Number(n) }
    return { what: 'effect', ...own, ...(sha256 && { sha256 }) }
  }
}

/** Cuts the line where the answer would leave. */
const unanswer: RequestHandler = (req: Request, res: Response, next) => {
  const end = res.end
  res.end = ((...args: Parameters<Response['end']>) => {
    if (armed !== 'no answer' || !SENDS.test(req.path)) return end.apply(res, args)
    armed = undefined
    req.socket.resetAndDestroy()
    tell({ struck: true })
    return res
  }) as Response['end']
  next()
}

async function listen(port: number): Promise<void> {
  for (const line of journal.read()) if (line.what === 'effect') done.add(placeOf(line.user, line.key))
  const settings = {
    onMessage: (
      path: string,
      { user }: { user: TestUser },
      message: unknown,
      { key = '' }: { key?: string },
    ) => work(user, key, path, message as Facts),
  }
  const server = await startServer(
    () => ({
      ...settings,
      reconnectTime: 100,
      async onUpload(path, { user }, message, [file], { key = '' }) {
        const bytes = (await file?.buffer()) ?? ''
        await work(user, key, path, message as Facts, createHash('sha256').update(bytes).digest('hex'))
      },
    }),
    port,
  )
  server.before.push(unanswer)
  // A server that works, so the client need not be careful with it; else the table would take an hour.
  server.sse.onConnect((connection) => void connection.send('test', 'welcome'))
  tell({ port: server.port })
}

function hold(): void {
  open()
  gate = new Promise((resolve) => {
    open = resolve
  })
}

process.on('message', (order: Order) => {
  if ('listen' in order) return void listen(order.listen)
  if ('hold' in order) return order.hold ? hold() : open()
  armed = order.arm
  dieIf('kill now')
})
// The parent is gone: so is the test.
process.on('disconnect', () => process.exit())
tell({ ready: true })
