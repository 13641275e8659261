import { PATHS_REPOSITORY_MESSAGES, type PendingSummary } from '../protocol'
import { brief, element, long, soft } from './dom'
import { List } from './list'
import { number, span, when } from './words'

const PAGE_SIZE = 10
/** Ids that are named; the others are counted. */
const NAMED = 5

/** Messages that nobody has acknowledged yet. */
export function createPending(): List<PendingSummary> {
  return new List({
    id: 'pending',
    path: PATHS_REPOSITORY_MESSAGES[0] ?? '',
    pageSize: PAGE_SIZE,
    params: () => ({}),
    empty: () => 'Nothing waits.',
    show: (message) => element('tbody', {}, rowOf(message)),
  })
}

function rowOf(message: PendingSummary): HTMLTableRowElement {
  const { eventName, listenerName, data, dataLength, createTime, expiryTime } = message
  const rest = dataLength - data.length
  return element(
    'tr',
    {},
    element(
      'th',
      { scope: 'row' },
      element('span', { class: 'name' }, eventName),
      soft(listenerName && 'if listened to'),
    ),
    element('td', {}, long(audienceOf(message)), soft(recipientsOf(message))),
    element(
      'td',
      {},
      element('code', {}, data === '' ? '–' : data),
      soft(rest > 0 ? `and ${number(rest)} characters more` : ''),
    ),
    brief('Since', when(createTime)),
    brief('Expires', 'in ', expiryTime <= Date.now() ? span(0) : when(expiryTime)),
  )
}

function audienceOf(message: PendingSummary): string {
  const { isForAll, userIdList, tenantIdList, channelList, accessTokenCount } = message
  if (isForAll) return 'everybody'
  const tokens =
    accessTokenCount === 0 ? [] : [`${number(accessTokenCount)} access token${plural(accessTokenCount)}`]
  return [
    ...named('user', userIdList),
    ...named('tenant', tenantIdList),
    ...named('channel', channelList),
    ...tokens,
  ].join('; ')
}

function recipientsOf({ recipientUserIdList, recipientAccessTokenCount }: PendingSummary): string {
  const others = recipientAccessTokenCount === 0 ? [] : [`${number(recipientAccessTokenCount)} more`]
  const missing = [...named('user', recipientUserIdList), ...others]
  return missing.length === 0 ? '' : `waits for ${missing.join(' and ')}`
}

function named(kind: string, ids: readonly string[]): string[] {
  if (ids.length === 0) return []
  const rest = ids.length - NAMED
  const text = ids.slice(0, NAMED).join(', ') + (rest > 0 ? ` and ${number(rest)} more` : '')
  return [`${kind}${plural(ids.length)} ${text}`]
}

function plural(count: number): string {
  return count === 1 ? '' : 's'
}
