import {
  HEADER_ERROR,
  HEADER_KEY,
  HEADER_REPLAYED,
  HEADER_SERVER_ID,
  HEADER_VERSION,
} from '../client/protocol'

/** Headers of our answers that a page of an allowed foreign origin may read. */
const EXPOSED = [
  HEADER_VERSION,
  HEADER_SERVER_ID,
  HEADER_ERROR,
  HEADER_KEY,
  HEADER_REPLAYED,
  'Retry-After',
  // Of uploads in pieces.
  'Location',
  'Tus-Resumable',
  'Tus-Version',
  'Upload-Offset',
  'Upload-Length',
  'Upload-Expires',
].join(', ')
const METHODS = 'GET, HEAD, POST, PATCH, DELETE'
/** Seconds that a browser may remember the answer to a preflight. */
const MAX_AGE = '600'

/** What lets a page of this origin read an answer that was made with its user's cookies. */
export function corsHeaders(origin: string): Record<string, string> {
  return {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Credentials': 'true',
    'Access-Control-Expose-Headers': EXPOSED,
  }
}

/**
 * What lets it send a request at all.
 * @param requested The headers it wants to send: the application may ask for any of its own.
 */
export function preflightHeaders(requested = 'Content-Type'): Record<string, string> {
  return {
    'Access-Control-Allow-Methods': METHODS,
    'Access-Control-Allow-Headers': requested,
    'Access-Control-Max-Age': MAX_AGE,
  }
}
