import { Access } from './access'
import { Admin } from './admin'
import { Inbox } from './inbox'
import { metricsOf } from './metrics'
import { type SseOptions, settle } from './options'
import { LONGEST_DELAY } from './params'
import { createParts, type Parts } from './parts'
import { publisherOf } from './publisher-of'
import { createRouter } from './routes'
import { Sdk } from './sdk'
import type { SseService } from './service'
import { Uploads } from './uploads'
import { Watchers } from './watchers'

/**
 * Makes a service: a router that serves the browser client and the streams, and functions to send, ask and act.
 *
 * @example
 * const hr = createSse({ name: 'hr', getUser: (req) => sessionUser(req) })
 * app.use('/sse/hr', hr.router)
 * await hr.sendByUserId(7, 'myHrBell', { count: 100 })
 *
 * @throws TypeError that names the option that is wrong.
 */
export function createSse<User extends object>(options: SseOptions<User>): SseService<User> {
  const parts = createParts(settle(options))
  const { settings, presence } = parts
  const publisher = publisherOf(parts)
  const uploads = new Uploads(settings)
  const metrics = () => metricsOf(settings, presence)
  count(parts)
  return {
    ...publisher,
    router: createRouter({
      ...parts,
      uploads,
      inbox: new Inbox(settings),
      access: new Access(settings),
      admin: new Admin(settings, presence),
      watchers: new Watchers(settings, presence),
      sdk: new Sdk(),
      metrics,
      disconnectUser: publisher.disconnectByUserId,
    }),
    ...hearers(parts),
    metrics,
    async close({ within = 0 } = {}) {
      if (!(Number.isInteger(within) && within >= 0 && within <= LONGEST_DELAY)) {
        throw new TypeError(
          `close: within must be a whole number of milliseconds from 0 to ${LONGEST_DELAY}.`,
        )
      }
      uploads.close()
      await parts.lifecycle.close(within)
    },
  }
}

type Hearers = 'onConnect' | 'onDisconnect' | 'onListeningChange'

/** Counts who comes and goes, as the application is told. */
function count<User extends object>({ settings, notices }: Parts<User>): void {
  notices.connected.add((_connection, { isReturn }) => settings.counters.connected(isReturn))
  notices.disconnected.add((_connection, reason) => settings.counters.disconnected(reason))
}

function hearers<User extends object>({ notices, listening }: Parts<User>): Pick<SseService<User>, Hearers> {
  return {
    onConnect: (fn) => notices.connected.add(fn),
    onDisconnect: (fn) => notices.disconnected.add(fn),
    onListeningChange: (fn) => listening.changed.add(fn),
  }
}
