/** ms that a process may take to end. If all were killed at once, Redis may be gone that it says goodbye to. */
const PATIENCE = 2000

/**
 * Ends this process, politely, when its parent is gone or somebody kills it.
 * @param end what is to be done before
 */
export function onEnd(end) {
  let isEnding = false
  const stop = async () => {
    if (isEnding) return
    isEnding = true
    setTimeout(() => process.exit(1), PATIENCE).unref()
    await end()
    process.exit(0)
  }
  process.on('disconnect', stop).on('SIGTERM', stop).on('SIGINT', stop)
  // The parent has gone before we listened. Who is started by hand has none: `undefined`.
  if (process.connected === false) stop()
}

/** Tells the parent, if there is one, that this process is ready, and where. That it has just gone is no failure. */
export const tellReady = (facts) => process.send?.(facts, () => {})
