import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { findChromium } from '../scripts/chromium.mjs'

const FLAGS =
  '--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run --remote-debugging-port=0'

/**
 * A Chromium that nobody debugs: tabs are opened and closed over plain HTTP.
 * Playwright switches the Network domain on, and that makes a native EventSource six times slower.
 */
export async function startChromium() {
  const folder = mkdtempSync(join(tmpdir(), 'tabwire-bench-'))
  const child = spawn(findChromium(), [...FLAGS.split(' '), `--user-data-dir=${folder}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // A group of its own, so that its helpers end with it.
    detached: true,
  })
  const kill = () => process.kill(-child.pid, 'SIGKILL')
  // Nor does it outlive a bench that fails or is stopped.
  const onSignal = () => process.exit(1)
  process.once('exit', kill).once('SIGINT', onSignal).once('SIGTERM', onSignal)
  const host = await new Promise((resolve) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      const found = /DevTools listening on ws:\/\/([^/]+)/.exec(line)?.[1]
      if (found) resolve(found)
    })
  })
  return {
    /** Opens a tab in front of the others, which hides them. */
    async open(url) {
      const { id } = await (await fetch(`http://${host}/json/new?${url}`, { method: 'PUT' })).json()
      const show = () => fetch(`http://${host}/json/activate/${id}`)
      await show()
      return { show, close: () => fetch(`http://${host}/json/close/${id}`) }
    },
    async close() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      process.off('exit', kill).off('SIGINT', onSignal).off('SIGTERM', onSignal)
      kill()
      await ended
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    },
  }
}
