import type { Answer, ListPage } from '../protocol'

/** Where the service is mounted: this script lies beside the module, also behind a proxy that shows it at another path. */
export const BASE = new URL('.', import.meta.url).href.replace(/\/$/, '')

/** What the page was opened with: the application may know its users by that. */
export const QUERY: Readonly<Record<string, string>> = Object.fromEntries(
  new URLSearchParams(location.search),
)

/** @param params over those of the page. @throws Error with what the server says. */
export async function ask<Item>(
  path: string,
  params: Record<string, string | number>,
): Promise<ListPage<Item>> {
  const own = Object.entries(params).map(([name, value]) => [name, String(value)])
  const body = await answer(path, { ...QUERY, ...Object.fromEntries(own) })
  // An application may wrap what succeeds in another way.
  const page = [body, ...Object.values(body)].find(isPage<Item>)
  if (page === undefined) throw new Error('The server answered something else.')
  return page
}

/** @throws Error with what the server says. */
export async function tell(path: string, body: object): Promise<void> {
  const headers = { 'Content-Type': 'application/json' }
  await answer(path, QUERY, { method: 'POST', headers, body: JSON.stringify(body) })
}

async function answer(path: string, query: Record<string, string>, init?: RequestInit): Promise<object> {
  const response = await fetch(`${BASE}${path}?${new URLSearchParams(query)}`, init)
  const body: Partial<Answer<unknown>> | null = await response.json()
  if (!response.ok) throw new Error(body?.errorMessage ?? response.statusText)
  return body ?? {}
}

function isPage<Item>(value: unknown): value is ListPage<Item> {
  return typeof value === 'object' && value !== null && 'list' in value && Array.isArray(value.list)
}
