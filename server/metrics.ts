import type { Registry } from 'prom-client'
import { HttpError } from './errors'
import type { OpenConnection } from './open-connection'
import type { Settings } from './options'
import type { Presence } from './presence'

/** Of Prometheus' text format. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

type Client = typeof import('prom-client')
/** Each value with its labels. */
type Values = readonly (readonly [value: number, labels?: Record<string, string | number>])[]

/**
 * Everything that is counted of the service, in Prometheus' text format. Made anew each time it is asked for: what it
 * counts are plain numbers.
 */
export async function metricsOf<User extends object>(
  settings: Settings<User>,
  presence: Presence<User>,
): Promise<string> {
  const client = await load()
  const registry = new client.Registry()
  registry.setDefaultLabels({ service: settings.name })
  addGauges(client, registry, await gaugesOf(settings, presence))
  addCounters(client, registry, settings)
  return registry.metrics()
}

/** @throws HttpError 501 if it is not installed: the application may do without metrics. */
async function load(): Promise<Client> {
  try {
    return await import('prom-client')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')
      throw new HttpError(501, 'Metrics need the package prom-client: npm install prom-client.')
    throw error
  }
}

/** Of this node: each is asked by itself, and what it says is added up. What waits is the same for all. */
async function gaugesOf<User extends object>(settings: Settings<User>, presence: Presence<User>) {
  const { total: pending } = await settings.store.pendingPage(settings.name, 0, 1)
  const ours = presence.ours()
  const waiting = (sum: number, { stream }: OpenConnection<User>) => sum + stream.waiting
  return {
    connections: ['Open connections.', ours.length],
    users: ['Users with an open connection.', new Set(ours.map(({ owner }) => owner)).size],
    pending_messages: ['Messages that wait to be acknowledged.', pending],
    stream_waiting_bytes: ['Bytes that wait for clients to read them.', ours.reduce(waiting, 0)],
  } as const
}

function addGauges(
  { Gauge }: Client,
  registry: Registry,
  gauges: Record<string, readonly [help: string, value: number]>,
): void {
  for (const [name, [help, value]] of Object.entries(gauges))
    new Gauge({ name: `tabwire_${name}`, help, registers: [registry] }).set(value)
}

function addCounters<User extends object>(
  { Counter }: Client,
  registry: Registry,
  { counters }: Settings<User>,
): void {
  const add = (name: string, help: string, values: Values): void => {
    const labelNames = Object.keys(values[0]?.[1] ?? {})
    const counter = new Counter({ name: `tabwire_${name}_total`, help, labelNames, registers: [registry] })
    for (const [value, labels = {}] of values) counter.inc(labels, value)
  }
  const { connects, returns, disconnects, refusals, sent, delivered, messages, uploads } = counters
  add('connects', 'Connections that were opened; is_return: of a page that was away for a moment.', [
    [connects, { is_return: 'false' }],
    [returns, { is_return: 'true' }],
  ])
  add('acknowledged', 'Acknowledgements of messages that wait no more.', [[counters.acknowledged]])
  add('redelivered', 'Messages sent again, or to a client that came later.', [[counters.redelivered]])
  add(
    'disconnects',
    'Connections that ended, by what onDisconnect is told.',
    [...disconnects].map(([reason, count]) => [count, { reason }]),
  )
  add('events_sent', 'Events that the application sent.', [[sent]])
  add('events_delivered', 'Events that were written, one for each connection.', [[delivered]])
  add('messages', 'Messages and uploads that the handlers were given.', [
    [messages, { kind: 'message' }],
    [uploads, { kind: 'upload' }],
  ])
  add(
    'refused_requests',
    'Requests that were answered with a status of 400 or more.',
    [...refusals].map(([status, count]) => [count, { status }]),
  )
}
