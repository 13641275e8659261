/** To a process that the tests have started. */
export interface Call {
  id: number
  method: string
  args: unknown[]
}

/** From it. */
export interface Reply {
  id: number
  value?: unknown
  error?: string
}

/** Waits for the test that has started this process to say where to listen, answers its calls, and ends with it. */
export function answerCalls(start: (port: number) => Promise<{ api: object; port: number }>): void {
  const send = (message: number | Reply) => process.send?.(message)
  process.once('message', async (asked: number) => {
    const { api, port } = await start(asked)
    process.on('message', async ({ id, method, args }: Call) => {
      try {
        const called = Reflect.get(api, method) as (...args: unknown[]) => unknown
        send({ id, value: await called.apply(api, args) })
      } catch (error) {
        send({ id, error: String(error) })
      }
    })
    send(port)
  })
  // The parent is gone: so is the test.
  process.on('disconnect', () => process.exit())
}
