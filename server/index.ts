export type { AdminAction, AuditEntry } from './audit'
export type {
  Arrival,
  Connection,
  ConnectionFacts,
  ConnectionRecord,
  ConnectionRequest,
  DisconnectOptions,
} from './connection'
export type { SendOptions } from './draft'
export { HttpError, LimitError, StoreUnavailableError } from './errors'
export type { ListeningChange } from './listening'
export type { SseOptions } from './options'
export type { ConnectionFilter, PresenceState } from './presence'
export { createPublisher, type PublisherOptions } from './publisher'
export type { QosOptions, QosPromise } from './qos'
export type { OneOrMany, Publisher, QosSenders, SseService } from './service'
export { createSse } from './sse'
export type {
  Absence,
  Arrived,
  Claim,
  Draft,
  Entry,
  History,
  KnownKey,
  Leave,
  Peers,
  PendingMessage,
  PendingPage,
  ServiceNode,
  Store,
} from './store'
export type { Id, Topic } from './topic'
export type { UploadedFile } from './upload'
