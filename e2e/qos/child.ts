/** A server that dies when it is told to: `child.ts <journal> [<file of the SQLite store>]`. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import type { Store } from 'tabwire/server'
import { memoryStore } from 'tabwire/stores/memory'
import { answerCalls } from '../calls'
import { startServer } from '../server'
import { PAGE } from './page'

/** When it may die. */
export type Moment =
  | 'before it is stored'
  | 'when it is stored'
  | 'before it is written'
  | 'before the acknowledgement is stored'
  | 'when the acknowledgement is stored'

/** What the table calls. */
export interface Api {
  /** @returns the number of acknowledgements, at last */
  qos(user: string, name: string, data: unknown): Promise<number>
  /** A plain event. */
  send(user: string, name: string, data: unknown): Promise<number>
  /** How many messages wait for this user. */
  pending(user: string): Promise<number>
  /** How often a message was sent to this user so far, also by those that have died. */
  sent(user: string): number
  dieAt(moment: Moment): void
}

/** ms; long enough to see what happens without it. */
const ACK_TIMEOUT = 500

const [journal = '', file] = process.argv.slice(2)
let mortalAt: Moment | undefined

function dieIf(moment: Moment): void {
  if (moment === mortalAt) process.kill(process.pid, 'SIGKILL')
}

function mortal(store: Store): Store {
  return {
    ...store,
    async hold(...args) {
      dieIf('before it is stored')
      await store.hold(...args)
      dieIf('when it is stored')
    },
    append(service, draft) {
      if (draft.message !== undefined) appendFileSync(journal, `${draft.data}\n`)
      return store.append(service, draft)
    },
    async acknowledge(...args) {
      dieIf('before the acknowledgement is stored')
      await store.acknowledge(...args)
    },
    join: (service, node) =>
      store.join(service, {
        ...node,
        receive(entry) {
          if (entry.message !== undefined) dieIf('before it is written')
          return node.receive(entry)
        },
        settle(...settled) {
          dieIf('when the acknowledgement is stored')
          node.settle?.(...settled)
        },
      }),
  }
}

async function openStore(): Promise<Store> {
  return file ? (await import('tabwire/stores/sqlite')).sqliteStore(file) : memoryStore()
}

answerCalls(async (asked) => {
  const store = mortal(await openStore())
  const { app, sse, port } = await startServer(() => ({ store, ackTimeout: ACK_TIMEOUT }), asked)
  app.get('/qos', (_req, res) => void res.type('html').send(PAGE))
  const api: Api = {
    qos: (user, name, data) => sse.qos().sendByUserId(user, name, data),
    send: (user, name, data) => sse.sendByUserId(user, name, data),
    async pending(user) {
      const { list } = await store.pendingPage(sse.name, 0, 1000)
      return list.filter(({ topics }) => topics.includes(`user:${user}`)).length
    },
    sent(user) {
      const lines = existsSync(journal) ? readFileSync(journal, 'utf8').split('\n') : []
      return lines.filter((line) => line === user).length
    },
    dieAt(moment) {
      mortalAt = moment
    },
  }
  return { api, port }
})
