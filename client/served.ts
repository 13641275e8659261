/** What the backend serves. */
export type { State } from './connection'
export * from './errors'
export type { ActiveChange, Duration, SseEvent, StateChange } from './event'
export type { HeaderResult, Listener, ListenerRecord, Query, SseOptions } from './options'
export type { OutboxChange, PendingRequest, Progress, SendOptions } from './part'
export { Sse as default } from './sse'
