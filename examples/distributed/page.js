// No dependency in the front end: three lines, then the backend's module does the rest.
// biome-ignore format: three lines, as promised
function sseEventListener(url, eventListeners, query) {
  return import(`${url}?${new URLSearchParams(query)}`).then((m) => new m.default({ url, eventListeners, query, catchUp }))
}

/** Of missed prices the last of each item will do, and who is online is asked anyway. All orders are shown. */
const catchUp = { prices: 'latest', 'who-changed': 'drop' }
const KEPT_ROWS = 8
const byId = (id) => document.getElementById(id)

/** An element with text in it. Never `innerHTML`: what comes from others is text. */
function element(tag, text) {
  const made = document.createElement(tag)
  made.textContent = text
  return made
}

/** The newest first. */
function addRow(list, ...elements) {
  const row = element('li', '')
  row.append(...elements)
  list.prepend(row)
  list.children[KEPT_ROWS]?.remove()
}

// Who is here: a name for this browser at this node.

const FIRST = ['Amber', 'Brave', 'Calm', 'Deft', 'Eager', 'Fair', 'Gentle', 'Happy', 'Jolly', 'Kind']
const LAST = ['Otter', 'Heron', 'Lynx', 'Finch', 'Badger', 'Crane', 'Marten', 'Robin', 'Seal', 'Wren']
const any = (count) => Math.floor(Math.random() * count)

localStorage.guest ??= `${FIRST[any(10)]} ${LAST[any(10)]} ${any(1000)}`
byId('me').textContent = localStorage.guest

// What the server pushes.

function showPush({ type, json, replayed }) {
  const notes = [json.isSure && 'at least once', replayed && 'caught up'].filter(Boolean)
  addRow(byId(type), element('b', json.number), element('span', json.text), element('em', notes.join(', ')))
  byId(`${type}-reached`).textContent = `connections reached: ${json.reached}`
}

function showSaid({ json: { name, text, node } }) {
  addRow(byId('said'), element('b', name), element('em', `by node ${node}`), element('span', text))
}

// In what state the connection is, in words.

const [CONNECTING, OPEN] = [0, 1]
let node = 'the cluster'
let state = { newState: CONNECTING }

function showState({ newState, reason, error } = state) {
  state = { newState, reason, error }
  const isOpen = newState === OPEN
  byId('state').dataset.state = isOpen ? 'open' : newState === CONNECTING ? 'connecting' : 'closed'
  if (isOpen) byId('state').textContent = `Connected to ${node}`
  else if (newState === CONNECTING) byId('state').textContent = `Connecting to ${node} …`
  else byId('state').textContent = `Not connected: ${error?.message ?? reason}`
}

// Who is online, and which node says so.

async function ask() {
  const { success, data } = await answerTo(sse.send('who'))
  if (!success) return
  node = `node ${data.node}`
  showState()
  byId('node').textContent = node
  document.title = `${node} – tabwire`
  byId('other').href = `http://${location.hostname}:${data.otherPort}/`
  byId('other').hidden = !data.otherPort
  byId('online').replaceChildren(...data.connections.map(person))
  byId('online-count').textContent = data.connections.length
}

function person({ name, node }) {
  return element('li', `${name}${name === localStorage.guest ? ' (you)' : ''} · node ${node}`)
}

/** What the server answers to `send`: `{ success, code, data, message, errorMessage }`. */
const answerTo = async (request) => (await request).json()

const sse = await sseEventListener(
  '/sse/demo',
  {
    'sse-state': ({ data }) => showState(data),
    'connect-finish': ask,
    'who-changed': ask,
    orders: showPush,
    prices: showPush,
    said: showSaid,
    // What was missed is not to be had any more, e.g. because it is another Redis now.
    'sse-gap': () => location.reload(),
  },
  { guest: localStorage.guest },
)

byId('say').onsubmit = (event) => {
  event.preventDefault()
  // Without a connection it waits, and goes out as soon as there is one again.
  sse.send('say', { text: new FormData(event.target).get('text') })
}

/** In a window of its own: in a tab it would hide this page. */
byId('other').onclick = (event) => {
  event.preventDefault()
  open(event.target.href, '', 'popup,width=760,height=900')
}
