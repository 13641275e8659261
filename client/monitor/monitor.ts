import type { SseEvent, StateChange } from '../event'
import type Sse from '../index'
import type { SseOptions } from '../options'
import {
  type ConnectFinish,
  EVENT_CONNECT_FINISH,
  EVENT_MONITOR,
  EVENT_STATE,
  type Figures,
  PATH_WATCH,
} from '../protocol'
import { BASE, QUERY, tell } from './api'
import { find } from './dom'
import { createTiles } from './figures'
import { createPending } from './pending'
import { createPeople } from './people'
import { RatePlot } from './plot'
import { ratesBetween } from './rates'

/** Figures between two looks at the lists when nobody comes or goes: somebody may have gone away, a time has passed. */
const LOOK_EVERY = 10

const tiles = createTiles()
const plot = new RatePlot()
const people = createPeople()
const pending = createPending()
let before: Figures | undefined
let count = 0

function showFigures({ json }: SseEvent): void {
  const now = json as Figures
  const rates = ratesBetween(before, now)
  tiles(now, rates)
  plot.add(now.time, rates)
  const isChanged = (kinds: (keyof Figures)[]) => kinds.some((kind) => before?.[kind] !== now[kind])
  const isTime = ++count % LOOK_EVERY === 0
  if (isTime || isChanged(['connects', 'disconnects', 'connections'])) people.refreshSoon()
  if (isChanged(['pending']) || (isTime && now.pending > 0)) pending.refreshSoon()
  before = now
}

function watch({ json }: SseEvent): void {
  const { connectionId, name } = json as ConnectFinish
  find('service', HTMLElement).textContent = name
  document.title = `Monitor – ${name}`
  tell(PATH_WATCH, { connectionId }).catch((error: Error) => showState('closed', error.message))
  void people.refresh()
  void pending.refresh()
}

function stateChanged({ data }: SseEvent<MessageEvent['data']>): void {
  const { newState, error }: StateChange = data
  if (newState === 1) showState('open', 'Live')
  else if (newState === 0) showState('connecting', 'Connecting …')
  else showState('closed', error?.message ?? 'Not connected')
}

function showState(state: string, text: string): void {
  const shown = find('state', HTMLElement)
  shown.dataset['state'] = state
  shown.textContent = text
}

/** The module that every page has, from where it is served. */
const { default: Client }: { default: new (options: SseOptions) => Sse } = await import(`${BASE}/sse.js`)
new Client({
  url: BASE,
  query: QUERY,
  useWindowEventBus: false,
  eventListeners: {
    [EVENT_CONNECT_FINISH]: watch,
    [EVENT_MONITOR]: showFigures,
    [EVENT_STATE]: stateChanged,
  },
})
