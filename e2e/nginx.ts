import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findExecutable } from '../scripts/executable.mjs'
import { pageUrl } from './app'
import { ownGroup } from './process-group'
import { until } from './until'

export interface NginxOptions {
  /** The port of 127.0.0.1 that it stands in front of; of several it takes each in turn. */
  targetPort: number | readonly number[]
  /** HTTP/2 over TLS, with a certificate that it signed itself; otherwise plain HTTP/1.1. */
  http2?: boolean
  /**
   * `true`: the box in the middle that holds back an answer, its head too, until it is complete. That is what nginx
   * does unless it is told better, or heeds the `X-Accel-Buffering` of the answer; here it does not.
   * `false`: as our README recommends.
   */
  buffering?: boolean
}

/** An nginx in front of a server. */
export interface Nginx {
  /** `http://127.0.0.1:…`, or `https:` with HTTP/2 */
  readonly origin: string
  readonly port: number
  /** Address of the page for a user, through nginx; the other parameters are options of its client. */
  page(user: string | number, options?: Record<string, unknown>): string
  /** Ends it at once, and every connection with it. */
  close(): Promise<void>
}

const HOST = '127.0.0.1'

const TIMELY = `
      proxy_http_version 1.1;
      proxy_set_header Connection '';`
/**
 * With HTTP/1.1 behind it nginx sends on each chunk as it comes, buffering or not; it is HTTP/1.0, its default, that
 * makes it fill a buffer first. These are too large for a test to fill.
 */
const BUFFERING = `
      proxy_http_version 1.0;
      proxy_buffering on;
      proxy_ignore_headers X-Accel-Buffering;
      proxy_buffer_size 1m;
      proxy_buffers 4 1m;`

/** All paths are relative to the folder that it runs in. */
const config = (port: number, { targetPort, http2, buffering }: NginxOptions): string => `
daemon off;
pid nginx.pid;
worker_processes 1;
# Otherwise root's workers would give up their rights, and with them the folder.
${process.getuid?.() === 0 ? 'user root;' : ''}
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  # The limit is the application's.
  client_max_body_size 0;
  upstream nodes {
    ${[targetPort]
      .flat()
      .map((target) => `server ${HOST}:${target};`)
      .join(' ')}
  }
  server {
    listen ${HOST}:${port}${http2 ? ' ssl http2' : ''};
    ${http2 ? 'ssl_certificate certificate.pem; ssl_certificate_key key.pem;' : ''}
    location / {
      proxy_pass http://nodes;
      # The server compares it with the Origin, port and all.
      proxy_set_header Host $http_host;${buffering ? BUFFERING : TIMELY}
    }
  }
}
`

function find(command: string): string {
  const found = findExecutable(command)
  if (!found) throw new Error(`No ${command} found: node scripts/setup.mjs installs it or says what to do.`)
  return found
}

async function sign(folder: string): Promise<void> {
  const names = ['-subj', '/CN=localhost', '-addext', `subjectAltName=DNS:localhost,IP:${HOST}`]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'key.pem']
  const args = ['req', '-x509', '-days', '2', ...names, ...key, '-out', 'certificate.pem']
  await promisify(execFile)(find('openssl'), args, { cwd: folder })
}

/** nginx cannot be asked which port it got, so it has to be told one. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, HOST)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

async function leave(folder: string, end: () => Promise<void>): Promise<void> {
  await end()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

/** Starts it; answers how to end it. */
async function run(folder: string, port: number): Promise<() => Promise<void>> {
  const args = ['-p', folder, '-c', 'nginx.conf', '-e', 'error.log']
  // A group of its own, so that its workers end with it.
  const nginx = spawn(find('nginx'), args, { stdio: 'ignore', detached: true })
  const end = ownGroup(nginx)
  let code: number | null | undefined
  nginx.once('exit', (exitCode) => {
    code = exitCode
  })
  await until(async () => code !== undefined || (await listens(port)), 'nginx to listen')
  if (code === undefined) return end
  const reason = await readFile(join(folder, 'error.log'), 'utf8')
  await leave(folder, end)
  throw new Error(`nginx ended with code ${code}: ${reason}`)
}

/** A real nginx on a free port of 127.0.0.1, in a folder of its own. */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'tabwire-nginx-'))
  const port = await freePort()
  if (options.http2) await sign(folder)
  await writeFile(join(folder, 'nginx.conf'), config(port, options))
  const end = await run(folder, port)
  const origin = `${options.http2 ? 'https' : 'http'}://${HOST}:${port}`
  return {
    origin,
    port,
    page: (user, pageOptions) => pageUrl(origin, user, pageOptions),
    close: () => leave(folder, end),
  }
}
