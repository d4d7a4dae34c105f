// Runs the built Worker on this machine: workerd with its state on disk, under the bindings that wrangler.toml names.
//
//   node serve.mjs --port 8787 --state DIR --worker target/edge --dist target/dist
//
// Secrets come by environment: ADMIN_TOKEN, NODE_TOKEN, SIGNING_KEY; MINIFLARE is the folder of that npm package.
// Prints `ready <url>` when the Worker answers; what the Worker logs goes to standard error. Ends on SIGTERM.

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = dirname(fileURLToPath(import.meta.url));
const HOST = '127.0.0.1';
const EVERY_MINUTE = '* * * * *';

/** What `public` still lets through although it leads back inside or nowhere. */
const DENIED = [
  '0.0.0.0/8',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '::/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '2001::/32',
  '2002::/16',
  'fec0::/10',
  '100::/64',
];

/** How long workerd may be unreachable before it is started anew, in milliseconds. */
const PATIENCE = 5_000;
const LOOK_EVERY = 1_000;
const LONGEST_PAUSE = 30_000;

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '8787' },
    state: { type: 'string' },
    worker: { type: 'string' },
    dist: { type: 'string' },
    'egress-exceptions': { type: 'string', default: '' },
    // Requests of one address in ten seconds that the outer fence lets through.
    shed: { type: 'string', default: '1000' },
    // Variables of the Worker beside those: --var NAME=VALUE, as often as needed.
    var: { type: 'string', multiple: true, default: [] },
  },
});

const port = Number(options.port);
const state = resolve(needed('--state', options.state));
const worker = resolve(needed('--worker', options.worker));
const dist = resolve(needed('--dist', options.dist));
const { Miniflare, Log, LogLevel, Response, convertV4MiniflareOptions } = createRequire(import.meta.url)(
  needed('MINIFLARE', process.env.MINIFLARE),
);

/** Miniflare's own remarks. */
class Aside extends Log {
  log(message) {
    process.stderr.write(`${message}\n`);
  }
}

let running = null;

async function main() {
  await claim();
  process.env.CLOUDFLARE_CF_FETCH_ENABLED = 'false';
  process.env.MINIFLARE_WORKERD_PATH = leashed();
  setInterval(() => void tick(), 60_000).unref();
  for (let pause = LOOK_EVERY; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    try {
      running = new Miniflare(convertV4MiniflareOptions(settings()));
      listen();
      const url = await running.ready;
      await answering(url);
      process.stdout.write(`ready ${url.href}\n`);
      pause = LOOK_EVERY;
      // Miniflare restarts a workerd that died; this is for when it cannot.
      await unreachable();
      process.stderr.write('workerd cannot be reached and is started anew\n');
    } catch (error) {
      process.stderr.write(`workerd cannot be started: ${error?.message ?? error}\n`);
    }
    await running?.dispose().catch(() => {});
    await sleep(pause);
  }
}

function settings() {
  const secret = (name) => needed(name, process.env[name]);
  return {
    host: HOST,
    port,
    cf: false,
    logRequests: false,
    log: new Aside(LogLevel.WARN),
    handleStructuredLogs: ({ message }) => process.stderr.write(`${message}\n`),
    resourcePersistencePath: join(state, 'workerd'),
    resourceTmpPath: join(state, 'tmp'),
    telemetry: { enabled: false },
    workers: [
      {
        name: 'darkroom',
        compatibilityDate: compatibilityDate(),
        modulesRoot: worker,
        modules: [
          { type: 'ESModule', path: join(worker, 'index.js') },
          { type: 'CompiledWasm', path: join(worker, 'index_bg.wasm') },
        ],
        bindings: {
          EGRESS_EXCEPTIONS: options['egress-exceptions'],
          ...Object.fromEntries(options.var.map((pair) => [pair.split('=', 1)[0], pair.slice(pair.indexOf('=') + 1)])),
          ADMIN_TOKEN: secret('ADMIN_TOKEN'),
          NODE_TOKEN: secret('NODE_TOKEN'),
          SIGNING_KEY: secret('SIGNING_KEY'),
        },
        durableObjects: {
          ACCOUNT: { className: 'Account', useSQLite: true },
          DISPATCHER: { className: 'Dispatcher', useSQLite: true },
          DIRECTORY: { className: 'Directory', useSQLite: true },
          RECEIVER: { className: 'Receiver', useSQLite: true },
        },
        r2Buckets: { PICTURES: 'darkroom-pictures' },
        ratelimits: { SHED: { namespace_id: '1', simple: { limit: Number(options.shed), period: 10 } } },
        assets: {
          directory: dist,
          binding: 'ASSETS',
          run_worker_first: true,
          routerConfig: { has_user_worker: true, invoke_user_worker_ahead_of_assets: true },
        },
        serviceBindings: {
          EGRESS: { network: { allow: ['public', ...excepted()], deny: DENIED, tlsOptions: { trustBrowserCas: true } } },
        },
        // A plain fetch of the Worker reaches nothing: everything that goes out goes through EGRESS.
        outboundService: () => new Response(null, { status: 403 }),
      },
    ],
  };
}

/** The addresses of the exceptions; which of their ports is the Worker's to check. */
function excepted() {
  const hosts = options['egress-exceptions'].split(',').filter(Boolean);
  return [...new Set(hosts.map((host) => host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')))].map((address) =>
    address.includes(':') ? `${address}/128` : `${address}/32`,
  );
}

function compatibilityDate() {
  const text = readFileSync(join(HERE, 'wrangler.toml'), 'utf8');
  return /^compatibility_date = "([\d-]+)"$/m.exec(text)[1];
}

/** What Cloudflare's cron trigger does there. */
async function tick() {
  try {
    const entry = await running.getWorker('darkroom');
    await entry.scheduled({ cron: EVERY_MINUTE, scheduledTime: new Date() });
  } catch (error) {
    process.stderr.write(`the scheduled handler could not be called: ${error?.message ?? error}\n`);
  }
}

/** Returns when the Worker answers at all. */
async function answering(url) {
  const probe = new URL('/livez', url);
  const response = await fetch(probe, { signal: AbortSignal.timeout(30_000) });
  await response.body?.cancel();
  if (response.status >= 500) throw new Error(`the Worker answers ${response.status} to ${probe.pathname}`);
}

/** Returns when nobody took a connection for a while. */
async function unreachable() {
  for (let since = Date.now(); Date.now() - since < PATIENCE; ) {
    await sleep(LOOK_EVERY);
    if (await takesConnections()) since = Date.now();
  }
}

function takesConnections() {
  return new Promise((settle) => {
    const socket = connect(port, HOST);
    const close = (taken) => {
      socket.destroy();
      settle(taken);
    };
    socket.setTimeout(LOOK_EVERY, () => close(true));
    socket.once('connect', () => close(true));
    socket.once('error', () => close(false));
  });
}

/** Makes the state ours: refuses one in use, and ends a workerd that outlived the process that had it. */
async function claim() {
  mkdirSync(join(state, 'tmp'), { recursive: true });
  const holder = pidIn('serve.pid');
  if (holder !== process.pid && commandOf(holder).includes('serve.mjs')) {
    throw new Error(`${state} is in use by process ${holder}: stop that, or choose another folder with --state`);
  }
  const orphan = pidIn('workerd.pid');
  if (commandOf(orphan).includes('workerd')) {
    process.kill(orphan, 'SIGKILL');
    while (commandOf(orphan).includes('workerd')) await sleep(20);
  }
  writeFileSync(join(state, 'serve.pid'), `${process.pid}\n`);
}

function pidIn(name) {
  try {
    return Number(readFileSync(join(state, name), 'utf8'));
  } catch {
    return 0;
  }
}

/** How a process was started, or nothing when there is none of this number. */
function commandOf(pid) {
  if (!pid) return '';
  try {
    if (existsSync('/proc/self')) return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
  } catch {
    return '';
  }
}

/** A program that runs workerd so that it dies with this process, where the system can do that, and is known by its number. */
function leashed() {
  const path = join(state, 'workerd.sh');
  const program = createRequire(join(process.env.MINIFLARE, 'package.json'))('workerd').default;
  const leash = isInstalled('setpriv') ? 'setpriv --pdeathsig KILL ' : '';
  writeFileSync(path, `#!/bin/sh\necho $$ >'${state}/workerd.pid'\nexec ${leash}'${program}' "$@"\n`);
  chmodSync(path, 0o700);
  return path;
}

function isInstalled(program) {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Ends on a signal with success; Miniflare's own listeners would end the process as one that failed. */
function listen() {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
    process.removeAllListeners(signal);
    process.once(signal, () => void stop());
  }
}

async function stop() {
  await running?.dispose().catch(() => {});
  for (const name of ['serve.pid', 'workerd.pid', 'tmp']) rmSync(join(state, name), { recursive: true, force: true });
  process.exit(0);
}

function needed(name, value) {
  if (!value) {
    process.stderr.write(`${name} is not given\n`);
    process.exit(2);
  }
  return value;
}

await main().catch((error) => {
  process.stderr.write(`${error?.message ?? error}\n`);
  process.exit(1);
});
