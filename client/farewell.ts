import { batchPosting, fitting, frameOf } from './batch'
import type { Entry } from './entry'
import type { Env } from './env'
import type { OutboxCore } from './part'
import { type ConnectFinish, PATH_BATCH } from './protocol'

/** Bytes that may leave with requests that outlive their page: browsers allow 64 kB [Fetch, 4.6]. */
const KEEPALIVE_BYTES = 60_000

/** @param run called when a page goes that was seen till now. @returns the release */
export function onFarewell(env: Env, run: () => void): () => void {
  const handle = (event: Event): void => {
    // An event of the backend's may have that name.
    if (!(event instanceof env.MessageEvent) && env.document.visibilityState !== 'hidden') run()
  }
  env.addEventListener('pagehide', handle)
  return () => env.removeEventListener('pagehide', handle)
}

/**
 * What is small goes on its way once more, whatever becomes of the page; the server runs none twice. Nobody hears of the
 * answer.
 * @param finish of the connection that has just ended: it heard of the page's going first, and the server takes its
 * requests for a moment longer
 */
export async function sendLast(
  core: OutboxCore,
  { connectionId, batch }: ConnectFinish,
  entries: readonly Entry[],
): Promise<void> {
  const [head] = entries
  if (!batch || !head || frameOf(head) > KEEPALIVE_BYTES) return
  const bytes = Math.min(batch.bytes, KEEPALIVE_BYTES)
  const { body } = batchPosting(fitting(entries, { ...batch, bytes }))
  try {
    const headers = await core.headers()
    headers.set('Content-Type', 'application/json;charset=UTF-8')
    await core.env.fetch(core.address(PATH_BATCH, { connectionId }), {
      method: 'POST',
      body: body(connectionId),
      headers,
      credentials: core.options.withCredentials ? 'include' : 'same-origin',
      keepalive: true,
    })
  } catch {
    // The page has gone; or it comes back, and they are tried again.
  }
}
