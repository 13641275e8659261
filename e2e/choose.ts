import type { Page } from 'playwright'

/** As a person chooses files on the disk: what Playwright gives a page that it is attached to is a copy. */
export async function choose(page: Page, files: string[]): Promise<void> {
  const session = await page.context().newCDPSession(page)
  const { root } = await session.send('DOM.getDocument')
  const { nodeId } = await session.send('DOM.querySelector', { nodeId: root.nodeId, selector: 'input' })
  await session.send('DOM.setFileInputFiles', { files, nodeId })
  await session.detach()
}
