import type { ConnectFinish } from '../client/protocol'
import { formatCursor, type Position, parseCursor } from './cursor'
import type { OpenConnection } from './open-connection'
import type { Settings } from './options'
import { planReplay, type Replay } from './replay'
import type { Entry, History } from './store'

/** The answer to a client that comes, or comes back. */
export interface Recovered {
  readonly told: Pick<ConnectFinish, 'recovered' | 'replayed' | 'reason'>
  /** Where the client is when it has heard that. */
  readonly id: string
  readonly replay?: Replay
  /** All up to here is either in the replay or not for this client. */
  readonly readUpTo: Position
}

/**
 * Nothing was missed, so many events were, or the gap is too big.
 * @param lastEventId Where the client says it is; `undefined`: it begins.
 * @param catchUp What it wants of each name. A catch-up that was cut off goes on as it began.
 */
export async function recover<User extends object>(
  { store, name }: Settings<User>,
  connection: OpenConnection<User>,
  lastEventId: string | undefined,
  catchUp: OpenConnection<User>['catchUp'],
): Promise<Recovered> {
  const cursor = lastEventId === undefined ? undefined : parseCursor(lastEventId)
  const { epoch } = cursor ?? {}
  const from = cursor?.range?.from ?? cursor?.seq ?? 0
  const history = await store.read(
    name,
    connection.topics,
    epoch === undefined ? undefined : { epoch, seq: from },
  )
  const readUpTo = { epoch: history.epoch, seq: history.head }
  const id = formatCursor(readUpTo)
  if (lastEventId === undefined) return { told: {}, id, readUpTo }
  // What is still to come cannot have been told: the place is in another log.
  const isAhead = (cursor?.range?.to ?? 0) > history.head
  if (cursor === undefined || history.gap !== undefined || isAhead)
    return { told: { recovered: false, reason: history.gap ?? 'epoch' }, id, readUpTo }
  // The log may go on under another epoch than when the client was here.
  const place = { ...cursor, epoch: history.epoch }
  const replay = planReplay(
    entriesFor(connection, history),
    place,
    history.head,
    cursor.range === undefined ? catchUp : connection.catchUp,
  )
  const told = { recovered: true, replayed: replay.count }
  // Before the first event of the replay it is still where it was.
  return { told, id: replay.count === 0 ? id : formatCursor(place), replay, readUpTo }
}

function entriesFor<User extends object>(connection: OpenConnection<User>, { entries }: History): Entry[] {
  return entries.filter((entry) => connection.takes(entry))
}
