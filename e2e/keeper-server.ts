import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { type Plugin, rollup } from 'rollup'
import ts from 'typescript'
import type { Keeper, KeeperModule } from '../client/kept'

declare global {
  interface Window {
    /** There once the page has opened it. */
    keeper: Keeper | undefined
    openKeeper: KeeperModule['openKeeper']
    /** Why there is none. */
    refusal: string | undefined
  }
}

/** Holds what it puts as long as it is seen, as a client does. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>keeper</title><link rel="icon" href="data:,">
<script type="module">
  import { openKeeper } from '/outbox-store.js'
  window.openKeeper = openKeeper
  const onLife = ({ type }) =>
    type !== 'pagehide' && document.visibilityState === 'visible' ? keeper.hold() : keeper.release()
  try {
    window.keeper = await openKeeper(window, '/sse/test')
    for (const type of ['pagehide', 'pageshow']) addEventListener(type, onLife)
    document.addEventListener('visibilitychange', onLife)
    onLife({ type: 'start' })
  } catch (error) {
    window.refusal = error.message
  }
</script>`

/** Types are checked elsewhere. */
const transpile: Plugin = {
  name: 'transpile',
  transform(code, id) {
    if (!id.endsWith('.ts')) return null
    const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }
    return ts.transpileModule(code, { compilerOptions }).outputText
  },
}

async function bundle(): Promise<string> {
  const input = fileURLToPath(new URL('../client/outbox-store.ts', import.meta.url))
  const plugins = [nodeResolve({ extensions: ['.ts', '.js'] }), transpile]
  const build = await rollup({ input, plugins })
  const { output } = await build.generate({ format: 'es' })
  await build.close()
  return output[0].code
}

/** Serves a page that keeps requests, and nothing else. */
export async function startKeeperServer(): Promise<{ port: number; close(): void }> {
  const module = await bundle()
  const server = createServer(({ url }, response) => {
    const isModule = url === '/outbox-store.js'
    response.setHeader('Content-Type', isModule ? 'text/javascript' : 'text/html')
    response.end(isModule ? module : PAGE)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  return { port: (server.address() as AddressInfo).port, close }
}
