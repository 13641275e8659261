import { type OnlineConnection, type OnlineUser, PATH_DISCONNECT_USER, PATH_MONITOR_USERS } from '../protocol'
import { tell } from './api'
import { brief, element, find, focusOn, long, soft } from './dom'
import { List } from './list'
import { agent, number, when } from './words'

const PAGE_SIZE = 20
/** ms without a key until what was typed is searched. */
const TYPING = 250

/** Who is online and how: a group of rows for each user, a row for each connection. */
export function createPeople(): List<OnlineUser> {
  const search = find('search', HTMLInputElement)
  const people: List<OnlineUser> = new List({
    id: 'people',
    path: PATH_MONITOR_USERS,
    pageSize: PAGE_SIZE,
    params: () => ({ name: search.value.trim() }),
    empty: () => (search.value.trim() === '' ? 'Nobody is online.' : 'Nobody of that name is online.'),
    show: (user) => rowsOf(user, () => kick(user, people)),
  })
  let timer: ReturnType<typeof setTimeout> | undefined
  search.oninput = () => {
    clearTimeout(timer)
    timer = setTimeout(() => void people.refresh(1), TYPING)
  }
  return people
}

function rowsOf(user: OnlineUser, kick: () => void): HTMLTableSectionElement {
  const rows = user.connections.map(rowOf)
  const size = rows.length
  const [first] = rows
  first?.prepend(
    element(
      'th',
      { scope: 'rowgroup', rowspan: size },
      element('span', { class: 'name' }, nameOf(user)),
      soft(identityOf(user)),
    ),
  )
  first?.append(element('td', { class: 'action', rowspan: size }, buttonFor(user, kick)))
  return element('tbody', {}, ...rows)
}

function rowOf(connection: OnlineConnection): HTMLTableRowElement {
  const { isAway, locationHref, channel, requestIp, screen, userAgent } = connection
  const state = isAway ? 'away' : 'visible'
  const { createTime, messageCount, requestMessageCount, requestUploadCount, lastRequestTime } = connection
  const last = lastRequestTime === undefined ? undefined : element('small', {}, when(lastRequestTime), ' ago')
  return element(
    'tr',
    {},
    element(
      'td',
      {},
      element('span', { class: 'presence', 'data-state': state }, isAway ? 'Away' : 'Visible'),
    ),
    element('td', {}, long(pathOf(locationHref), locationHref), soft(channel && `in ${channel}`)),
    element(
      'td',
      {},
      long(requestIp ?? ''),
      element(
        'small',
        { class: 'agent', title: userAgent },
        [agent(userAgent), screen].filter(Boolean).join(', '),
      ),
    ),
    brief('Since', when(createTime)),
    brief('Events', number(messageCount)),
    brief('Requests', requestsText(requestMessageCount, requestUploadCount), last),
  )
}

/** Users without an id cannot be named to the server. */
function buttonFor(user: OnlineUser, kick: () => void): HTMLElement | undefined {
  const { userId } = user
  if (userId === undefined) return undefined
  const button = element(
    'button',
    {
      type: 'button',
      class: 'quiet',
      'data-key': keyOf(user),
      'aria-label': `Disconnect ${nameOf(user)}`,
    },
    'Disconnect',
  )
  button.onclick = kick
  return button
}

/** Asks first. */
async function kick(user: OnlineUser, people: List<OnlineUser>): Promise<void> {
  const dialog = find('kick', HTMLDialogElement)
  find('kick-title', HTMLElement).textContent = `Disconnect ${nameOf(user)}?`
  dialog.returnValue = ''
  dialog.showModal()
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }))
  focusOn(keyOf(user))
  if (dialog.returnValue !== 'kick') return
  try {
    await tell(PATH_DISCONNECT_USER, { userId: user.userId })
    await people.refresh()
  } catch (error) {
    people.complain(error)
  }
}

function keyOf({ userId }: OnlineUser): string {
  return `kick ${userId}`
}

function nameOf({ userName, userId }: OnlineUser): string {
  return userName ?? (userId === undefined ? 'A user without a name' : `User ${userId}`)
}

function identityOf({ userName, userId, tenantId }: OnlineUser): string {
  const id = userName === undefined || userId === undefined ? undefined : `id ${userId}`
  return [id, tenantId === undefined ? undefined : `tenant ${tenantId}`].filter(Boolean).join(', ')
}

/** Without the origin, which mostly is everybody's. */
function pathOf(href = ''): string {
  return URL.canParse(href) ? new URL(href).pathname : href
}

function requestsText(messages: number, uploads: number): string {
  return uploads === 0 ? number(messages) : `${number(messages)} + ${number(uploads)} files`
}
