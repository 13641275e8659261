const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Waits until `probe` answers something true, and answers that.
 * @param what what is waited for, to be read after "waited 10000 ms for": `the page to be hidden`
 * @param ms how long to wait before it throws
 */
export async function until<T>(probe: () => T | Promise<T>, what: string, ms = 10_000): Promise<T> {
  const deadline = performance.now() + ms
  let failure: unknown
  for (;;) {
    try {
      const answer = await probe()
      if (answer) return answer
      failure = undefined
    } catch (error) {
      // A page that is just navigating refuses to be asked.
      failure = error
    }
    if (performance.now() > deadline)
      throw new Error(`Waited ${ms} ms for ${what}, in vain.`, { cause: failure })
    await sleep(20)
  }
}

/** For what must *not* happen: throws as soon as `probe` answers something true within `ms`. */
export async function never(probe: () => unknown, what: string, ms: number): Promise<void> {
  const deadline = performance.now() + ms
  while (performance.now() < deadline) {
    if (await probe()) throw new Error(`It must not happen, but did: ${what}.`)
    await sleep(20)
  }
}
