/**
 * A back-end process of the chaos. It gets the address of Redis, its name, how many users there are and how many sends a
 * second it makes, and tells its parent of each send: that it begins, and what became of it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createPublisher } from 'tabwire/server'
import { redisStore } from 'tabwire/stores/redis'

const [redisUrl, name, users, rate] = process.argv.slice(2)
const publisher = createPublisher({ name: 'chaos', store: redisStore(redisUrl), onError: () => {} })
const tell = (message) => process.send(message)

let isOver = false
let n = 0
process.on('message', async (message) => {
  if (message === 'end') isOver = true
  if (message?.ask === 'online')
    try {
      tell({ answer: message.id, users: await publisher.getUserIds() })
    } catch (error) {
      tell({ answer: message.id, error: error.message })
    }
})

async function send(sender) {
  const user = Math.floor(Math.random() * Number(users))
  const id = `${name}-${sender}-${++n}`
  const isSure = Math.random() < 0.3
  tell({ begin: id, user, isSure, at: Date.now() })
  try {
    const data = { id }
    if (isSure) {
      // It may take long: the next is not to wait for it.
      publisher
        .qos()
        .sendByUserId(user, 'sure', data)
        .then(
          (count) => tell({ done: id, count }),
          () => tell({ refused: id }),
        )
      tell({ accepted: id })
    } else {
      await publisher.sendByUserId(user, 'plain', data)
      tell({ accepted: id })
    }
  } catch {
    tell({ refused: id })
  }
}

/** Each sends one after the other, so that its events have an order. */
async function run(sender) {
  while (!isOver) {
    await send(sender)
    await sleep((1000 / Number(rate)) * SENDERS * (0.5 + Math.random()))
  }
  tell({ over: sender })
}
const SENDERS = 8
for (let sender = 0; sender < SENDERS; sender++) void run(sender)
