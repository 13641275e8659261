import { createLane } from './lane'
import type { OutboxCore, OutboxPart } from './part'
import { PATH_MESSAGE, PATH_UPLOAD } from './protocol'

/** The machinery of sending: the part of the client that a page loads when it sends for the first time. */
function createOutbox(core: OutboxCore): OutboxPart {
  const messages = createLane(core)
  /** Changes of listeners need not wait behind an upload. */
  const changes = createLane(core)
  const isMessage = (path: string): boolean => path.startsWith(PATH_MESSAGE) || path.startsWith(PATH_UPLOAD)

  return {
    add: (task) => (isMessage(task.path) ? messages : changes).add(task),
    flush() {
      messages.flush()
      changes.flush()
    },
    destroy() {
      messages.destroy()
      changes.destroy()
    },
  }
}

export { createOutbox as default }
