import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Sse, { type ActiveChange, type SseEvent, type SseOptions, type StateChange } from '../index'
import { FakePage } from './fake'

/** What must compile; tsc runs over the tests as well. */
interface Token {
  token?: string | undefined
}

const asMessage = (event: MessageEvent): unknown => event.data
const asOwn = (event: SseEvent): string => event.data + event.lastEventId
const asState = (event: SseEvent<StateChange>): number => event.data.newState
const asActive = ({ data }: MessageEvent<ActiveChange>): boolean => data.newActive
const listeners: Record<string, (event: MessageEvent) => void> = { bell: asMessage }

function three(
  url: string,
  eventListeners?: Record<string, (event: MessageEvent) => void>,
  query?: Token,
): SseOptions {
  return { url, eventListeners, query, headers: undefined, clientId: undefined }
}

describe('the types', () => {
  it('let listeners say what event they take, and options be left open', () => {
    const page = new FakePage()
    const options: SseOptions = {
      url: '/sse',
      eventListeners: { bell: asMessage, tick: asOwn, 'sse-state': asState, 'sse-change-active': asActive },
    }
    const sse = new Sse(options, page.env)
    sse.on('sse-state', asState)
    sse.on('bell', asMessage)
    assert.equal(new Sse(three('/sse', listeners), page.env).options.url, '/sse')
    // @ts-expect-error an event has no such listener
    assert.throws(() => sse.on('bell', 'no function'), TypeError)
    // @ts-expect-error the address is missing
    assert.throws(() => new Sse({}), TypeError)
  })
})
