/**
 * A back-end process without HTTP, which pushes to the pages of all nodes. It knows none of them, only Redis.
 * By hand: `REDIS_URL=redis://… node examples/distributed/publisher.mjs orders`
 */
import { createPublisher } from 'tabwire/server'
import { redisStore } from 'tabwire/stores/redis'
import { onEnd, tellReady } from './lifeline.mjs'

const PUSH_EVERY = 1000
const ITEMS = ['tea', 'coffee', 'cocoa', 'juice', 'water']
const random = (least, most) => least + Math.random() * (most - least)

const TEXTS = {
  orders: (item) => `${Math.round(random(1, 9))} × ${item}`,
  prices: (item) => `${item} ${random(2, 4).toFixed(2)} €`,
}

const [name] = process.argv.slice(2)
const store = redisStore(process.env.REDIS_URL)
const demo = createPublisher({ name: 'demo', store })
let number = 0
/** Connections that the last push was written to, over all nodes. */
let reached = 0

async function publish() {
  number++
  const item = ITEMS[number % ITEMS.length]
  const push = { number, text: TEXTS[name](item), reached }
  // Every fifth order must arrive: it is sent until a page has shown it, or for 10 s. Who waits for that is free to.
  if (name === 'orders' && number % 5 === 0)
    await demo.qos().sendAll(name, { ...push, isSure: true }, { timeout: 10_000 })
  else reached = await demo.sendAll(name, push, { key: item })
}

setInterval(() => publish().catch((error) => console.error(`${name}: ${error.message}`)), PUSH_EVERY)
tellReady({ at: 'no HTTP' })

onEnd(async () => {
  await demo.close()
  store.close()
})
