import { type Env, listen } from './env'

/** What the browser says of this page, read anew at each question. */
export interface Page {
  /** A person can see it: not hidden, not frozen, not in the back/forward cache. */
  isVisible(): boolean
  /** It may have connections at all: online, not frozen, not in the back/forward cache. */
  isOnline(): boolean
  /** `onSignal` is called with the name of the browser's event. Returns the release. */
  subscribe(onSignal: (signal: string) => void): () => void
}

const DOCUMENT_SIGNALS = ['visibilitychange', 'freeze', 'resume']
// Never unload or beforeunload: they keep a page out of the back/forward cache, and a click on a download or mailto link fires them.
const WINDOW_SIGNALS = ['pagehide', 'pageshow', 'online', 'offline']

export function createPage(env: Env): Page {
  // The one thing that has no live value to read: iOS puts a page into its cache without changing visibilityState.
  let isGone = false

  function subscribe(onSignal: (signal: string) => void): () => void {
    const handle = (event: Event): void => {
      // An event of the backend's that has such a name comes by the window bus, and says nothing of the page.
      if (event instanceof env.MessageEvent) return
      const { type } = event
      if (type === 'pagehide' || type === 'freeze') isGone = true
      // Any of the three may be missing after a freeze on a phone; each alone is proof of life.
      else if (type === 'pageshow' || type === 'resume' || (type === 'visibilitychange' && isShown()))
        isGone = false
      onSignal(type)
    }
    const releaseDocument = listen(DOCUMENT_SIGNALS, env.document, handle)
    const releaseWindow = listen(WINDOW_SIGNALS, env, handle)
    return () => {
      releaseDocument()
      releaseWindow()
    }
  }

  const isShown = (): boolean => env.document.visibilityState === 'visible'

  return {
    isVisible: () => isShown() && !isGone,
    isOnline: () => env.navigator.onLine !== false && !isGone,
    subscribe,
  }
}
