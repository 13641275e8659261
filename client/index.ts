import type { ListenerInput } from './listeners'
import type { Query } from './options'
import { toQuery } from './request'
import type { Sse } from './sse'

export * from './served'
export { default } from './served'

/**
 * The three lines, for those who bundle: imports the client that the backend serves, and connects.
 * @param url where the backend mounted the service, e.g. `/sse/hr`
 * @param query the application's own parameters, e.g. a token
 */
export async function sseEventListener(
  url: string,
  eventListeners?: Exclude<ListenerInput, string>,
  query?: Query,
): Promise<Sse> {
  const address = `${url}?${toQuery(query ?? {})}`
  const module = await import(/* webpackIgnore: true */ /* @vite-ignore */ address)
  return new module.default({ url, eventListeners, query })
}
