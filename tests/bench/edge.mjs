// The edge's hot paths, side by side in one run: our Worker, a small JavaScript worker on the same workerd, native axum; and how
// many syncs a second the disk takes, which bounds every accepted job.
//
// Environment: WORKER (built Worker), SERVE (edge/serve.mjs), MINIFLARE, NATIVE (program), DIST. `--json` prints one object a line.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { Agent, request as ask } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { StubNode } from '../http/support/stub-node.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const CONNECTIONS = 32;
const ACCOUNTS = 16;
const SECONDS = 4;
const ROUNDS = 3;
const PLANS = JSON.stringify({
  free: { images_per_month: null, credits_at_start: 1e8, queued_jobs: 1e9, requests: 1e8, window_seconds: 10, samples: 4, side: 1024, steps: 50, priority: 1 },
});
const BODY = JSON.stringify({ task: 'generate', prompt: 'a red apple on a blue background', width: 64, height: 64, steps: 20, seed: 7 });
const asJson = process.argv.includes('--json');

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** One request over a kept connection: status, body, headers. */
function send(agent, method, url, headers = {}, body = undefined) {
  return new Promise((settle, fail) => {
    const out = ask(url, { method, agent, headers: { ...headers, ...(body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }) } }, (reply) => {
      const chunks = [];
      reply.on('data', (chunk) => chunks.push(chunk));
      reply.on('end', () => settle({ status: reply.statusCode, body: Buffer.concat(chunks), headers: reply.headers }));
      reply.on('error', fail);
    });
    out.on('error', fail);
    out.end(body);
  });
}

/** Requests a second and their times, as fast as 32 connections go; any other status than `expected` ends the bench. */
async function load(make, expected) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const times = [];
  const end = performance.now() + SECONDS * 1000;
  const started = performance.now();
  const lane = async (index) => {
    for (let turn = index; performance.now() < end; turn += CONNECTIONS) {
      const [method, url, headers, body] = make(turn);
      const begun = performance.now();
      const { status, body: said } = await send(agent, method, url, headers, body);
      if (status !== expected) throw new Error(`${method} ${url} is answered ${status}: ${said.toString().slice(0, 300)}`);
      times.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, index) => lane(index)));
  const seconds = (performance.now() - started) / 1000;
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  return { rps: times.length / seconds, p50: at(0.5), p99: at(0.99) };
}

class Contender {
  constructor(name, port) {
    Object.assign(this, { name, port, url: `http://127.0.0.1:${port}` });
  }

  async start() {
    this.state = mkdtempSync(join(tmpdir(), 'darkroom-bench-'));
    const begun = performance.now();
    this.child = this.spawn();
    let said = '';
    this.child.stdout.on('data', (chunk) => (said += chunk));
    this.child.stderr.resume();
    while (!said.includes('ready')) {
      if (this.child.exitCode !== null) throw new Error(`${this.name} ended with ${this.child.exitCode}`);
      await sleep(10);
    }
    const agent = new Agent({ keepAlive: true });
    const first = performance.now();
    await send(agent, 'GET', `${this.url}/livez`);
    this.cold = { start: first - begun, first: performance.now() - first };
    await this.prepare(agent);
    agent.destroy();
  }

  async stop() {
    this.node?.stop();
    this.child.kill('SIGTERM');
    if (this.child.exitCode === null) await new Promise((settle) => this.child.once('exit', settle));
    rmSync(this.state, { recursive: true, force: true });
  }

  accept = (turn) => ['POST', `${this.url}/v1/images`, { authorization: `Bearer ${this.keys[turn % ACCOUNTS]}` }, BODY];
  fetch = (turn) => ['GET', `${this.url}/v1/jobs/${this.jobs[turn % ACCOUNTS]}`, { authorization: `Bearer ${this.keys[turn % ACCOUNTS]}` }];
  proxied = (turn) => ['GET', this.pictures[turn % this.pictures.length], {}];
}

class OnWorkerd extends Contender {
  constructor(name, port, worker) {
    super(name, port);
    this.worker = worker;
  }

  spawn() {
    const { SERVE, DIST } = process.env;
    const flags = ['--port', this.port, '--state', this.state, '--dist', DIST, '--worker', this.worker, '--shed', '1000000000'];
    const env = { ...process.env, ADMIN_TOKEN: 'admin', NODE_TOKEN: 'node', SIGNING_KEY: '11'.repeat(32) };
    return spawn(process.execPath, [SERVE, ...flags.map(String), '--var', `PLANS=${PLANS}`, '--var', 'SIGN_UPS_PER_DAY=1000000'], { env });
  }
}

class Ours extends OnWorkerd {
  async prepare(agent) {
    const open = () => send(agent, 'POST', `${this.url}/v1/accounts`, {}, '{}').then(({ body }) => JSON.parse(body).key);
    this.keys = await Promise.all(Array.from({ length: ACCOUNTS }, open));
    this.node = new StubNode({ url: this.url, token: 'node', waitSeconds: 1 });
    this.node.start();
    await sleep(1500);
    const made = await Promise.all(
      this.keys.map((key) => send(agent, 'POST', `${this.url}/v1/images`, { authorization: `Bearer ${key}`, prefer: 'wait=20' }, BODY)),
    );
    const jobs = made.map(({ body }) => JSON.parse(body));
    this.jobs = jobs.map((job) => job.id);
    this.pictures = jobs.map((job) => job.pictures[0].url);
    // From here on nobody works, as beside the others.
    this.node.stop();
    await sleep(1500);
  }
}

class JavaScript extends OnWorkerd {
  async prepare(agent) {
    this.keys = Array.from({ length: ACCOUNTS }, (_, index) => `a${index}.key`);
    for (const key of this.keys) await send(agent, 'POST', `${this.url}/v1/accounts`, { authorization: `Bearer ${key}` }, '{}');
    const made = await Promise.all(this.keys.map((key) => send(agent, 'POST', `${this.url}/v1/images`, { authorization: `Bearer ${key}` }, BODY)));
    this.jobs = made.map(({ body }) => JSON.parse(body).id);
    this.pictures = this.keys.map((key) => `${this.url}/pictures/${key.split('.')[0]}/1/x.png?exp=9999999999999&kid=1&sig=x`);
    for (const url of this.pictures) await send(agent, 'GET', url);
  }
}

class Native extends Contender {
  spawn() {
    return spawn(process.env.NATIVE, [String(this.port), this.state], { env: { ...process.env, PLANS } });
  }

  async prepare(agent) {
    this.keys = Array.from({ length: ACCOUNTS }, key);
    for (const text of this.keys) await send(agent, 'POST', `${this.url}/v1/accounts`, {}, JSON.stringify({ key: text }));
    const made = await Promise.all(this.keys.map((text) => send(agent, 'POST', `${this.url}/v1/images`, { authorization: `Bearer ${text}` }, BODY)));
    this.jobs = made.map(({ body }) => JSON.parse(body).id);
    this.pictures = [`${this.url}/pictures/a/1/x.png`];
  }
}

/** A key as the edge makes them: 160 bits in base 62 and a CRC-32. */
function key() {
  const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  const base62 = (number, length) => {
    let text = '';
    for (let left = number; text.length < length; left /= 62n) text = digits[Number(left % 62n)] + text;
    return text;
  };
  const body = `sk_live_${base62(BigInt(`0x${randomBytes(20).toString('hex')}`), 27)}`;
  return body + base62(BigInt(crc32(Buffer.from(body))), 6);
}

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Appends and syncs a second, one after another: what the disk takes. */
function syncs() {
  const folder = mkdtempSync(join(tmpdir(), 'darkroom-bench-'));
  const file = openSync(join(folder, 'journal'), 'a');
  const end = performance.now() + 2000;
  let count = 0;
  for (; performance.now() < end; count += 1) {
    writeSync(file, Buffer.alloc(4096));
    fsyncSync(file);
  }
  rmSync(folder, { recursive: true });
  return count / 2;
}

/** The JavaScript worker in the shape that serve.mjs runs. */
function javascriptWorker() {
  const folder = mkdtempSync(join(tmpdir(), 'darkroom-bench-js-'));
  cpSync(join(HERE, 'edge/worker.mjs'), join(folder, 'index.js'));
  // A module of nothing.
  writeFileSync(join(folder, 'index_bg.wasm'), Buffer.from('0061736d01000000', 'hex'));
  return folder;
}

const worker = process.env.WORKER;
const javascript = javascriptWorker();
const makers = [
  () => new Ours('edge', 9311, worker),
  () => new JavaScript('javascript', 9312, javascript),
  () => new Native('axum', 9313),
];
const results = {};
for (let round = 0; round < ROUNDS; round += 1) {
  for (const make of makers) {
    const contender = make();
    await contender.start();
    const row = (results[contender.name] ??= { accept: [], fetch: [], proxied: [], cold: [] });
    row.cold.push(contender.cold);
    row.fetch.push(await load(contender.fetch, 200));
    row.proxied.push(await load(contender.proxied, 200));
    row.accept.push(await load(contender.accept, 202));
    await contender.stop();
  }
  (results.disk ??= []).push(syncs());
}
rmSync(javascript, { recursive: true });

const size = { wasm: statSync(join(worker, 'index_bg.wasm')).size };
size.gzip = gzipSync(readFileSync(join(worker, 'index_bg.wasm'))).length + gzipSync(readFileSync(join(worker, 'index.js'))).length;
const figures = [];
for (const what of ['accept', 'fetch', 'proxied']) {
  const of = (name, field) => median(results[name][what].map((run) => run[field]));
  const ratios = (name) => results.edge[what].map((run, round) => run.rps / results[name][what][round].rps);
  const spread = (values) => ({ ratio: median(values), low: Math.min(...values), high: Math.max(...values) });
  figures.push({
    what,
    edge: { rps: of('edge', 'rps'), p50: of('edge', 'p50'), p99: of('edge', 'p99') },
    javascript: { rps: of('javascript', 'rps'), p50: of('javascript', 'p50'), p99: of('javascript', 'p99'), ...spread(ratios('javascript')) },
    axum: { rps: of('axum', 'rps'), p50: of('axum', 'p50'), p99: of('axum', 'p99'), ...spread(ratios('axum')) },
  });
}
const cold = Object.fromEntries(
  ['edge', 'javascript', 'axum'].map((name) => [name, { start: median(results[name].cold.map(({ start }) => start)), first: median(results[name].cold.map(({ first }) => first)) }]),
);
const disk = median(results.disk);
if (asJson) {
  for (const figure of figures) console.log(JSON.stringify(figure));
  console.log(JSON.stringify({ what: 'cold', ...cold }));
  console.log(JSON.stringify({ what: 'disk', syncs: disk }));
  console.log(JSON.stringify({ what: 'size', ...size }));
} else {
  const line = ({ rps, p50, p99 }) => `${rps.toFixed(0).padStart(6)}/s p50 ${p50.toFixed(1).padStart(6)} p99 ${p99.toFixed(1).padStart(6)} ms`;
  for (const { what, edge, javascript, axum } of figures) {
    console.log(`${what.padEnd(8)} edge       ${line(edge)}`);
    for (const [name, other] of Object.entries({ javascript, axum })) {
      console.log(`${''.padEnd(8)} ${name.padEnd(10)} ${line(other)}  edge is ${other.ratio.toFixed(2)} (${other.low.toFixed(2)} to ${other.high.toFixed(2)})`);
    }
  }
  for (const [name, { start, first }] of Object.entries(cold)) console.log(`cold     ${name.padEnd(10)} ${start.toFixed(0)} ms to ready, first answer ${first.toFixed(1)} ms`);
  console.log(`disk     ${disk.toFixed(0)} appends with fsync a second, one after another`);
  console.log(`size     ${size.wasm} bytes of wasm, ${size.gzip} gzipped with its script`);
}
process.exit(0);
