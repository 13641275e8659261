// The backend's module is the same one that the plain page imports.
import Sse from '/sse/demo'

const STATES = ['connecting', 'open', 'closed']
const WORDS = { connecting: 'Connecting …', open: 'Connected', closed: 'Not connected' }

export default {
  name: 'LivePush',
  data: () => ({ state: 'connecting', push: null, people: [] }),
  computed: {
    words() {
      return WORDS[this.state]
    },
  },

  mounted() {
    this.sse = new Sse({
      url: '/sse/demo',
      eventListeners: {
        'sse-state': (event) => {
          this.state = STATES[event.data.newState]
        },
        'server-push': (event) => {
          this.push = event.json
        },
        'who-is-online': (event) => {
          this.people = event.json
        },
      },
    })
  },

  beforeUnmount() {
    this.sse.destroy()
  },

  template: `
    <p class="state" :data-state="state" role="status">{{ words }}</p>
    <main>
      <section>
        <h2>Online <span class="count">{{ people.length }}</span></h2>
        <ul class="people"><li v-for="user in people" :key="user.id">{{ user.name }} · {{ user.id }}</li></ul>
      </section>
      <section>
        <h2>Last push</h2>
        <p v-if="push" class="push">No. {{ push.number }}, sent at {{ new Date(push.serverTime).toLocaleTimeString() }}</p>
        <p v-else class="empty">None yet; one comes every three seconds.</p>
      </section>
    </main>
  `,
}
