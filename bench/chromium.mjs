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
  const host = await new Promise((resolve) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      const found = /DevTools listening on ws:\/\/([^/]+)/.exec(line)?.[1]
      if (found) resolve(found)
    })
  })
  return {
    /** Opens a tab; gives the function that closes it. */
    async open(url) {
      const tab = await (await fetch(`http://${host}/json/new?${url}`, { method: 'PUT' })).json()
      await fetch(`http://${host}/json/activate/${tab.id}`)
      return () => fetch(`http://${host}/json/close/${tab.id}`)
    },
    async close() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      process.kill(-child.pid, 'SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    },
  }
}
