import type { Topic } from './topic'

/**
 * The one seam of the server: everything that must outlive a connection. One store may serve several services;
 * each call names its service.
 */
export interface Store {
  /**
   * Remembers a duration for a topic with nobody online, until somebody comes.
   * @param seconds What the client is to take as its `sessionDuration`.
   */
  setDuration(service: string, topic: Topic, seconds: number): Promise<void>

  /** Hands out what was remembered for any of these topics (the last one's wins), and forgets it. */
  takeDuration(service: string, topics: readonly Topic[]): Promise<number | undefined>
}
