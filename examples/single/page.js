// No dependency in the front end: three lines, then the backend's module does the rest.
// biome-ignore format: three lines, as promised
function sseEventListener(url, eventListeners, query) {
  return import(`${url}?${new URLSearchParams(query)}`).then((m) => new m.default({ url, eventListeners, query, persist: true }))
}

const KEPT_EVENTS = 200
const byId = (id) => document.getElementById(id)

/** An element with text in it. Never `innerHTML`: what comes from others is text. */
function element(tag, className, text) {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}

// The list of events, the newest first.

function show(type, text, isMissed = false) {
  const row = element('li', '', '')
  row.dataset.type = type
  row.append(
    element('time', '', new Date().toLocaleTimeString()),
    element('b', '', type),
    element('code', '', text),
  )
  if (isMissed) row.append(element('em', '', 'sent while you were away'))
  byId('events').prepend(row)
  byId('events').children[KEPT_EVENTS]?.remove()
}

/** JSON on one line that may be wrapped. */
const asText = (value) => JSON.stringify(value, null, 1).replace(/\n\s*/g, ' ')
const showEvent = (event) => show(event.type, asText(event.json), event.replayed)

function showClose(event) {
  show(event.type, `whoTriggerClose=${event.whoTriggerClose} closeReason=${event.closeReason}`)
}

// In what state the connection is, in words.

const CONNECTING = 0
const OPEN = 1
const STARTS = ['start', 'connect', 'visibilitychange', 'pageshow', 'resume', 'online', 'retry']
const REASONS = {
  visibilitychange: 'the page is hidden',
  pagehide: 'the page is hidden',
  freeze: 'the browser has put the page to sleep',
  offline: 'this device is offline',
  close: 'you closed it',
}

function describe({ newState, reason, error }) {
  if (newState === OPEN) return ['open', 'Connected']
  if (newState === CONNECTING)
    return ['connecting', STARTS.includes(reason) ? 'Connecting …' : 'Connecting – next try soon']
  return ['closed', `Not connected: ${error?.message ?? REASONS[reason] ?? reason}`]
}

function showState(event) {
  const [state, words] = describe(event.data)
  byId('state').dataset.state = state
  byId('state').textContent = words
  show(event.type, `${words} (${event.data.reason})`)
}

// What is on its way to the server. It is kept (`persist`): reload the page amid a large upload, and it goes on.

const megabytes = (bytes) => (bytes / 1e6).toFixed(1)

function showOutbox({ type, data }) {
  if (data.type !== 'progress') return show(type, asText(data))
  const { loaded, total } = data
  byId('progress').hidden = loaded === total
  byId('progress').firstElementChild.value = loaded / total
  byId('progress-text').textContent = `${megabytes(loaded)} of ${megabytes(total)} MB`
}

// Who is online.

function showOnline(event) {
  byId('online').replaceChildren(...event.json.map(({ id, name }) => element('li', '', `${name} · ${id}`)))
  byId('online-count').textContent = event.json.length
}

const sse = await sseEventListener('/sse/demo', {
  'connect-finish': showEvent,
  'connect-close': showClose,
  'server-push': showEvent,
  'server-ack': showEvent,
  'sse-change-active': showEvent,
  // What was missed is not to be had any more; a real page fetches its state anew.
  'sse-gap': showEvent,
  'sse-state': showState,
  'sse-outbox': showOutbox,
  'who-is-online': showOnline,
})

/** What the server answers to `send` and `upload`: `{ success, code, data, message, errorMessage }`. */
const answerTo = async (request) => (await request).json()

answerTo(sse.send('who')).then((answer) => {
  byId('me').textContent = answer.data.name
})

// The buttons.

byId('close').onclick = () => sse.close()
byId('reconnect').onclick = () => sse.connect()
byId('server-close').onclick = () => sse.send('close')
byId('clean').onclick = () => byId('events').replaceChildren()

byId('send').onsubmit = async (event) => {
  event.preventDefault()
  const text = new FormData(event.target).get('text')
  // Without a connection it waits, and goes out as soon as there is one again.
  if (!sse.isActive()) show('send', `“${text}” waits for the connection`)
  const answer = await answerTo(sse.send('hello', { text }))
  show('answer', asText(answer.data ?? answer.message))
}

byId('upload').onsubmit = async (event) => {
  event.preventDefault()
  try {
    const answer = await answerTo(sse.upload('file', new FormData(event.target)))
    showAnswer(answer.success ? answer.data[0] : { refused: answer.message })
  } catch (error) {
    showAnswer({ [error.name]: error.message })
  }
}
byId('cancel').onclick = async () => {
  await sse.clearOutbox()
  byId('progress').hidden = true
}

function showAnswer(facts) {
  const rows = Object.entries(facts).flatMap(([name, value]) => [
    element('dt', '', name),
    element('dd', '', value),
  ])
  byId('answer').replaceChildren(...rows)
  byId('answer').hidden = false
}
