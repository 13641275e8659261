/** What operators do. */
export type AdminAction =
  | 'users'
  | 'connections'
  | 'repositoryMessages'
  | 'disconnectUser'
  | 'metrics'
  | 'monitor'
  | 'monitorUsers'
  | 'watch'

/** A request for something that `admin` opens. */
export interface AuditEntry<User extends object> {
  /** `monitor` is the page; `monitorUsers` and `watch` are what it asks for. */
  readonly action: AdminAction
  readonly isAllowed: boolean
  /** Who asked; `undefined`: nobody, or a page of a foreign origin, which is refused before that is asked. */
  readonly user: User | undefined
  /** What was asked for, e.g. `{ userId: '7' }`: the parameters of this action alone, not the application's. */
  readonly params: Readonly<Record<string, string>>
  readonly requestIp: string | undefined
}
