import { randomBytes } from 'node:crypto'
import type { ConnectionRecord } from '../connection'
import { NODE_LENGTH, type Peers, type ServiceNode } from '../store'
import type { Topic } from '../topic'
import { MemoryAbsences } from './memory-absences'

/** The nodes of one service that live in this process: each is asked what it knows. */
export class LocalPeers {
  readonly nodes = new Map<string, ServiceNode>()
  readonly #absences = new MemoryAbsences()

  join(node: ServiceNode): Peers {
    const id = createNodeId()
    this.nodes.set(id, node)
    const others = () => [...this.nodes].filter(([other]) => other !== id)
    const list = (topic?: Topic) =>
      others()
        .flatMap(([, other]) => recordsOf(other))
        .filter(({ topics }) => topic === undefined || topics.includes(topic))
    return {
      node: id,
      arrive: async ({ browser }) => ({
        others: browser === undefined ? [] : list().filter((other) => other.browser === browser),
        hasEnded: false,
      }),
      change: async () => {},
      leave: async (record, { absence }) => {
        if (absence !== undefined) this.#absences.set(record, absence)
      },
      explain: async (record, absence) => this.#absences.correct(record, absence),
      takeEnded: async () => undefined,
      isTaken: async () => false,
      list: async (topic) => list(topic),
      find: async (sought, mayHaveLeft) => {
        const found = list().find(({ id }) => id === sought)
        if (found !== undefined || !mayHaveLeft) return found
        return others()
          .map(([, other]) => other.record?.(sought))
          .find((record) => record !== undefined)
      },
      count: async () => {
        const all = [...this.nodes.values()].flatMap(recordsOf)
        return { connections: all.length, users: new Set(all.map(({ owner }) => owner)).size }
      },
      absence: async (user) => this.#absences.of(user),
      ask: async (other, question) => (other === id ? undefined : this.nodes.get(other)?.answer?.(question)),
      end: async () => void this.nodes.delete(id),
    }
  }
}

export function createNodeId(): string {
  return randomBytes((NODE_LENGTH / 4) * 3).toString('base64url')
}

function recordsOf(node: ServiceNode): ConnectionRecord[] {
  return [...(node.records?.() ?? [])]
}
