// The service on a port of its own with a state of its own: workerd with the Worker, and a node.
// Everything in it can be killed and comes back on the same state.

import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from './client.mjs';
import { dist, models, program, serve, worker } from './environment.mjs';
import { StubNode } from './stub-node.mjs';

const LOOK_EVERY = 25;
const ASK_EVERY = 100;
/** Where the system can do that, nothing outlives a run of tests that was killed. */
const LEASH = spawnSync('setpriv', ['--version']).status === 0 ? ['setpriv', '--pdeathsig', 'TERM'] : [];
/** How long anything may take that must happen; far more than it needs, since tests assert no times. */
const PATIENCE = 60_000;
/** One client opens more accounts here than elsewhere. */
const VARIABLES = { SIGN_UPS_PER_DAY: '1000000' };

export class Stack {
  adminToken = randomBytes(32).toString('hex');
  nodeToken = randomBytes(32).toString('hex');
  signingKey = randomBytes(32).toString('hex');
  /** The stub node, where there is one. */
  stub = null;

  #state;
  #port;
  #variables;
  #exceptions;
  #shed;
  #edge = null;
  #node = null;
  #stubs = [];

  /**
   * Starts workerd and one node: `stub` draws nothing and is quick, `real` runs the demo model, `none` leaves that to the test.
   * `exceptions` are hosts with ports that the edge may reach although they are private, `self` among them; `variables` go to
   * the Worker; `shed` is how many requests in ten seconds its outer fence lets through.
   */
  static async start({ node = 'stub', stub = {}, exceptions = [], variables = {}, shed = 1e9 } = {}) {
    const stack = new Stack();
    stack.#state = await mkdtemp(join(tmpdir(), 'darkroom-http-'));
    stack.#port = await freePort();
    stack.#variables = { ...VARIABLES, ...variables };
    stack.#exceptions = exceptions;
    stack.#shed = shed;
    try {
      await stack.startEdge();
      if (node === 'stub') stack.stub = await stack.stubNode(stub);
      if (node === 'real') await stack.startNode();
    } catch (error) {
      await stack.stop();
      throw error;
    }
    return stack;
  }

  /** Without a slash at its end. */
  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Everything that workerd and the node wrote so far. */
  async log() {
    const texts = ['edge.log', 'node.log'].map((name) => readFile(join(this.#state, name), 'utf8').catch(() => ''));
    return (await Promise.all(texts)).join('');
  }

  /** The folder that holds all that is kept. */
  get state() {
    return this.#state;
  }

  async startEdge() {
    const variables = Object.entries(this.#variables).flatMap(([name, value]) => ['--var', `${name}=${value}`]);
    const exceptions = this.#exceptions.map((host) => (host === 'self' ? `127.0.0.1:${this.#port}` : host));
    const options = { port: this.#port, state: join(this.#state, 'edge'), worker, dist, 'egress-exceptions': exceptions.join(), shed: this.#shed };
    const flags = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    this.#edge = this.#spawn('edge.log', process.execPath, [serve, ...flags, ...variables], {
      ADMIN_TOKEN: this.adminToken,
      NODE_TOKEN: this.nodeToken,
      SIGNING_KEY: this.signingKey,
    });
    await this.#until('the edge answers', () => this.#isUp(), this.#edge);
  }

  /** Kills workerd in the middle of whatever it does, and waits until it is back on the same state. */
  async killWorkerd() {
    const pid = await this.#workerd();
    process.kill(pid, 'SIGKILL');
    await this.#until('workerd is back', async () => (await this.#workerd()) !== pid && (await this.#isUp()), this.#edge);
  }

  /** Kills workerd and what watches it. */
  async killEdge() {
    this.#edge.kill('SIGKILL');
    await ended(this.#edge);
  }

  /** A node that draws nothing, in this process. */
  async stubNode(options = {}) {
    const stub = new StubNode({ url: this.url, token: this.nodeToken, ...options });
    this.#stubs.push(stub);
    stub.start();
    await this.#until('the stub node is known', () => this.#offers(stub.model.id));
    return stub;
  }

  /** Ends all stub nodes. */
  async stopStubs() {
    await Promise.all(this.#stubs.splice(0).map((stub) => stub.stop()));
  }

  /** Starts a real node with the demo model, and waits until the edge offers it. */
  async startNode() {
    const flags = ['--edge', this.url, '--models', models, '--device', 'cpu'];
    this.#node = this.#spawn('node.log', program, ['serve', ...flags], { DARKROOM_TOKEN: this.nodeToken });
    await this.#until('the demo model is offered', () => this.#offers('demo'), this.#node);
  }

  /** Kills the real node in the middle of whatever it does. */
  async killNode() {
    this.#node.kill('SIGKILL');
    await ended(this.#node);
  }

  /** Asks the real node to end, and returns its exit code. */
  async stopNode() {
    this.#node.kill('SIGTERM');
    return ended(this.#node);
  }

  async stop() {
    for (const stub of this.#stubs) stub.kill();
    for (const child of [this.#node, this.#edge]) {
      child?.kill('SIGTERM');
      if (child) await ended(child);
    }
    await rm(this.#state, { recursive: true, force: true });
  }

  /** A client with a new account, of this plan and with so many credits more. */
  async signUp({ plan = null, credits = 0 } = {}) {
    const client = new Client(this.url, null);
    const { account, key } = await client.json('POST', '/v1/accounts', {});
    if (plan) await this.admin.json('POST', `/admin/accounts/${account}/plan`, { plan });
    if (credits) await this.admin.json('POST', `/admin/accounts/${account}/grant`, { credits });
    return new Client(this.url, key, account);
  }

  /** A client that may do what operators may. */
  get admin() {
    return new Client(this.url, this.adminToken);
  }

  #spawn(log, command, args, secrets) {
    const file = createWriteStream(join(this.#state, log), { flags: 'a' });
    const [first, ...rest] = [...LEASH, command, ...args];
    const child = spawn(first, rest, { env: { ...process.env, ...secrets }, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.pipe(file, { end: false });
    child.stderr.pipe(file, { end: false });
    child.once('exit', () => file.end());
    return child;
  }

  async #until(what, isSo, child = null) {
    for (const start = Date.now(); Date.now() - start < PATIENCE; await sleep(LOOK_EVERY)) {
      if (await isSo().catch(() => false)) return;
      if (child && child.exitCode !== null) break;
    }
    throw new Error(`waited in vain until ${what}:\n${(await this.log()).slice(-4_000)}`);
  }

  async #isUp() {
    const response = await fetch(`${this.url}/livez`, { signal: AbortSignal.timeout(5_000) });
    await response.arrayBuffer();
    return response.status === 200;
  }

  async #offers(model) {
    const pool = await new Client(this.url, null).json('GET', '/v1/models');
    return pool.models.some(({ id, available }) => id === model && available);
  }

  async #workerd() {
    return Number(await readFile(join(this.#state, 'edge/workerd.pid'), 'utf8'));
  }
}

/** Waits for a child's end, and returns its exit code. */
async function ended(child) {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** Waits until `isSo`, for what must happen some time; not so eagerly that an account would be over its limit by asking. */
export async function eventually(what, isSo, patience = PATIENCE) {
  for (const start = Date.now(); Date.now() - start < patience; await sleep(ASK_EVERY)) {
    const found = await isSo();
    if (found) return found;
  }
  throw new Error(`waited in vain until ${what}`);
}
