import { rssOf } from '../procfs.mjs'

const INTERVAL = 100
const MB = 1e6

/** Remembers the highest of what the processes take. @returns ends it: MB before, and at most */
export async function watchMemory(server, page) {
  const browser = await page.context().browser().newBrowserCDPSession()
  const tab = await page.context().newCDPSession(page)
  const { processInfo } = await browser.send('SystemInfo.getProcessInfo')
  // The other tab is empty: the largest is that of the page.
  const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id)
  const look = async () => ({
    server: rssOf(server.pid) / MB,
    page: Math.max(...renderers.map(rssOf)) / MB,
    heap: (await tab.send('Runtime.getHeapUsage')).usedSize / MB,
  })
  const before = await look()
  const most = { ...before }
  const timer = setInterval(async () => {
    // While the page is reloaded it does not answer.
    const now = await look().catch(() => most)
    for (const key of Object.keys(most)) most[key] = Math.max(most[key], now[key])
  }, INTERVAL)
  return () => {
    clearInterval(timer)
    return { before, most }
  }
}
