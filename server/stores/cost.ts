import type { Draft, PendingMessage } from '../store'
import type { Topic } from '../topic'

/** Bytes that the keeping of each takes; measured in memory, rounded up. */
const PER_EVENT = 300
const PER_TOPIC = 50
const PER_MESSAGE = 500
const PER_TOPIC_OF_MESSAGE = 100
const PER_ANSWER = 600

/** What an event counts for in each of its topics. */
export function bytesOf({ name, data }: Draft): number {
  return Buffer.byteLength(name) + Buffer.byteLength(data)
}

/** What an event takes, about: one for very many topics, or very many small ones, must not pass as nothing. */
export function costOfEvent(draft: Draft): number {
  return PER_EVENT + draft.key.length + bytesOf(draft) + costOfTopics(draft.topics, PER_TOPIC)
}

/** One for very many users must not pass as nothing. */
export function costOfMessage(message: PendingMessage): number {
  const topics = [...message.topics, ...message.recipients]
  return PER_MESSAGE + message.key.length + bytesOf(message) + costOfTopics(topics, PER_TOPIC_OF_MESSAGE)
}

export function costOfAnswer(answer: string): number {
  return PER_ANSWER + Buffer.byteLength(answer)
}

function costOfTopics(topics: readonly Topic[], each: number): number {
  return topics.reduce((sum, topic) => sum + each + topic.length, 0)
}
