export interface RedisServer {
  readonly port: number
  readonly url: string
  readonly pid: number | undefined
  start(): Promise<void>
  /** `SIGKILL` (default): it keeps what it has written so far; `SIGTERM`: it writes first, if it keeps anything. */
  stop(signal?: NodeJS.Signals): Promise<void>
  pause(): void
  resume(): void
  /** What it has kept is gone; only while it is stopped. */
  forget(): void
  close(): Promise<void>
}
export declare function findRedis(): string | undefined
export declare function freePort(): Promise<number>
export declare function startRedis(options?: {
  port?: number
  keeps?: boolean
  args?: readonly string[]
}): Promise<RedisServer>
