import { createApp } from '/vue.js'
import LivePush from './live-push.js'

/** Mounts and unmounts the component: with it, the connection comes and goes. */
const App = {
  components: { LivePush },
  data: () => ({ isShown: true }),
  template: `
    <p class="hint">The component connects when it is mounted, and leaves nothing behind when it is unmounted.</p>
    <p><button type="button" @click="isShown = !isShown">{{ isShown ? 'Unmount' : 'Mount' }} the component</button></p>
    <LivePush v-if="isShown" />
    <p v-else class="empty">Unmounted: no connection, no timer, no listener.</p>
  `,
}

createApp(App).mount('#app')
