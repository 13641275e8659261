import { BASE } from '../app'

/** How a page behaves: each a parameter of its address, `yes` or not there. */
export interface Habits {
  /** Does not listen to what is to come. */
  deaf?: true
  /** Its listener throws. */
  fails?: true
  /** Goes on after a reload where it was before. */
  resumes?: true
}

declare global {
  interface Window {
    /** The test's books, which outlive the page: what its application was shown. */
    book(data: string): Promise<void>
    /** To be called in a deaf page. */
    listen(): void
  }
}

/** What the application is to be shown. */
export const BELL = 'bell'
/** What was sent later; who has this has all that came before. */
export const END = 'end'

/** The page of the table: `/qos?user=7`. It tells the test at once of what it is shown. */
export const PAGE = `<!doctype html><meta charset="utf-8"><title>qos</title><link rel="icon" href="data:,">
<script type="module">
  const { user, deaf, fails, resumes } = Object.fromEntries(new URLSearchParams(location.search))
  const { default: Sse } = await import('${BASE}')
  const show = ({ data }) => {
    book(data)
    if (fails) throw new Error('The listener fails.')
  }
  const eventListeners = { '${END}': ({ data }) => book('${END}'), ...(deaf ? {} : { '${BELL}': show }) }
  window.listen = () => void sse.on('${BELL}', show)
  const options = { reconnectTime: 100, resumeOnReload: Boolean(resumes), eventListeners }
  const sse = new Sse({ url: '${BASE}', query: { user }, ...options })
  window.sse = sse
</script>`
