export type { AdminAction, AuditEntry } from './audit'
export type { Arrival, Connection, ConnectionRequest, DisconnectOptions } from './connection'
export type { SendOptions } from './draft'
export { HttpError, LimitError } from './errors'
export type { ListeningChange } from './listening'
export type { SseOptions } from './options'
export type { ConnectionFilter, PresenceState } from './presence'
export type { QosOptions, QosPromise } from './qos'
export type { OneOrMany, QosSenders, SseService } from './service'
export { createSse } from './sse'
export type {
  Claim,
  Draft,
  Entry,
  History,
  KnownKey,
  PendingMessage,
  PendingPage,
  Receive,
  Settle,
  Store,
} from './store'
export type { Id, Topic } from './topic'
export type { UploadedFile } from './upload'
