/** All that an end-to-end test needs: a true browser, a server to kill, what stands between them, and patience. */
export { BASE, type Service, type Settings, type TestUser } from './app'
export { type Browser, startBrowser } from './browser'
export { type Nginx, startNginx } from './nginx'
export { type FaultProxy, startProxy } from './proxy'
export { type RequestSeen, startServer, type TestServer } from './server'
export { type ServerProcess, startServerProcess } from './server-process'
export { never, until } from './until'
