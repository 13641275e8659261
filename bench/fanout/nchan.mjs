/** nginx with the nchan module, as a server to be measured: a message is a POST, the load is on its one worker. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { childrenOf } from '../procfs.mjs'
import { makeMessage } from './message.mjs'

const MODULE = 'ngx_nchan_module.so'

/** Path of the module; `undefined` if it or nginx is not installed. */
export function findNchan() {
  const { stderr = '' } = spawnSync('nginx', ['-V'], { encoding: 'utf8' })
  const [, folder] = /--modules-path=(\S+)/.exec(stderr ?? '') ?? []
  const file = folder && join(folder, MODULE)
  return file && existsSync(file) ? file : undefined
}

const configOf = (module, folder, port) => `
load_module ${module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  keepalive_requests 1000000;
  tcp_nodelay on;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /sse/connect { nchan_subscriber eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest; }
    location = /publish { nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 1000; nchan_message_timeout 10s; }
  }
}`

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

async function workerOf(nginx) {
  for (let tries = 0; tries < 100; tries++) {
    const [worker] = childrenOf(nginx.pid)
    if (worker !== undefined) return worker
    await setTimeout(50)
  }
  throw new Error('nginx started no worker')
}

/** All requests go over this one connection, one behind the other. */
function makePublisher(port) {
  const socket = connect(port, '127.0.0.1').setNoDelay(true).resume()
  const request = (body) =>
    `POST /publish HTTP/1.1\r\nHost: bench\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  return {
    publish(count) {
      const requests = Array.from({ length: count }, () => request(JSON.stringify(makeMessage())))
      socket.write(requests.join(''))
    },
    answered: () => once(socket, 'data'),
    end: () => socket.destroy(),
  }
}

/** The same rule as in server.mjs: a turn that comes late is not made up for. */
async function pace({ publish, answered }, count, interval) {
  for (let sent = 0; sent < count; sent++) {
    const next = setTimeout(interval)
    publish(1)
    await answered()
    await next
  }
}

export async function startNchan() {
  const folder = mkdtempSync(join(tmpdir(), 'fanout-nchan-'))
  const port = await freePort()
  writeFileSync(join(folder, 'nginx.conf'), configOf(findNchan(), folder, port))
  const nginx = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: 'ignore' })
  const pid = await workerOf(nginx)
  const publisher = makePublisher(port)
  const answers = {
    port: () => port,
    batch: publisher.publish,
    pace: (count, interval) => pace(publisher, count, interval),
    tidy() {},
  }
  return {
    pid,
    ask: async (name, ...args) => answers[name](...args),
    async stop() {
      publisher.end()
      nginx.kill()
      await once(nginx, 'exit')
      rmSync(folder, { recursive: true })
    },
  }
}
