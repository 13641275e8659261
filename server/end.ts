/** How a connection ended. */
export interface End {
  /** Its client said goodbye; its line is gone, or has to be made anew; or the server wants it no more. */
  readonly by: 'client' | 'line' | 'server'
  readonly reason: string
}

/** The socket was simply gone. */
export const LOST: End = { by: 'line', reason: 'lost' }
