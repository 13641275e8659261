/** What `server.ts` starts, and kills: `backend.ts <file of the store> <journal> <port>`. */
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import { createSse, type Store } from 'tabwire/server'
import { sqliteStore } from 'tabwire/stores/sqlite'
import { BASE, type Order, type Told } from './server'

const NAME = 'torture'
/** ms that a handler works at most, before what it does and after it. */
const WORK = 10

const [file = '', journal = '', port = '0'] = process.argv.slice(2)
const tell = (told: Told): unknown => process.send?.(told)
const numberIn = (data: string): number => JSON.parse(data).n

/** Tells what is done as soon as the file has it: what is told must never be lost. */
function telling(store: Store): Store {
  return {
    ...store,
    async append(service, draft) {
      const count = await store.append(service, draft)
      if (draft.message === undefined) tell({ stored: numberIn(draft.data) })
      return count
    },
    async hold(service, message) {
      await store.hold(service, message)
      tell({ held: message.message, n: numberIn(message.data) })
    },
    async acknowledge(service, message, topics) {
      await store.acknowledge(service, message, topics)
      tell({ acknowledged: message })
    },
    async remember(service, key, claim, answer) {
      const known = await store.remember(service, key, claim, answer)
      const [, n] = /effect\D+(\d+)/.exec(answer) ?? []
      if (known === undefined && n !== undefined) tell({ remembered: Number(n) })
      return known
    },
  }
}

const store = telling(sqliteStore(file))
const sse = createSse<{ id: unknown }>({
  name: NAME,
  store,
  getUser: ({ query }) => ({ id: query['user'] }),
  ...{ reconnectTime: 100, ackTimeout: 500, heartbeatInterval: 1000 },
  onError: (error, where) => tell({ failed: `${where}: ${error}` }),
  async onMessage(_path, _connection, message) {
    const { n } = message as { n: number }
    await sleep(Math.random() * WORK)
    appendFileSync(journal, `${n}\n`)
    await sleep(Math.random() * WORK)
    return { effect: n }
  },
})

process.on('message', ({ user, n, isSure }: Order) => {
  const sender = isSure ? sse.qos() : sse
  sender
    .sendByUserId(user, isSure ? 'sure' : 'plain', { n })
    .catch((error) => tell({ failed: String(error) }))
})
// The parent is gone: so is the test.
process.on('disconnect', () => process.exit())

// Before anybody can come and acknowledge.
const { list } = await store.pendingPage(NAME, 0, 1e9)
const server = createServer(express().use(BASE, sse.router))
server.listen(Number(port), '127.0.0.1', () => {
  const pending = list.map(({ message }) => message)
  tell({ ready: (server.address() as AddressInfo).port, pending })
})
