/** A process of our own that answers questions. */
import { fork } from 'node:child_process'
import { once } from 'node:events'

/** ms after which a question counts as never answered. */
const PATIENCE = 60_000

/** Starts the file; resolves when the process says that it is ready. `ask(name, ...args)` calls one of its answers. */
export async function startChild(file, args, execArgv = []) {
  const child = fork(file, args, { execArgv })
  const open = new Map()
  let asked = 0
  child.on('message', ({ id, result, error }) => {
    const { resolve, reject } = open.get(id)
    open.delete(id)
    if (error === undefined) resolve(result)
    else reject(new Error(`${args}: ${error}`))
  })
  const ask = (name, ...given) =>
    new Promise((resolve, reject) => {
      const id = ++asked
      const timer = setTimeout(() => reject(new Error(`${args}: no answer to ${name}`)), PATIENCE)
      const settle = (how) => (value) => {
        clearTimeout(timer)
        how(value)
      }
      open.set(id, { resolve: settle(resolve), reject: settle(reject) })
      child.send({ id, name, args: given })
    })
  const gone = once(child, 'exit').then(([code]) => {
    for (const { reject } of open.values()) reject(new Error(`${args} ended with ${code}`))
  })
  const stop = async () => {
    child.disconnect()
    await gone
  }
  return { pid: child.pid, ask, stop }
}

/** The other side: answers with what these functions return, and ends with the parent. */
export function answerParent(answers) {
  process.on('disconnect', () => process.exit())
  process.on('message', async ({ id, name, args }) => {
    try {
      process.send({ id, result: await answers[name](...args) })
    } catch (error) {
      process.send({ id, error: String(error) })
    }
  })
}
