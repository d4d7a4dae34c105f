// A node that draws nothing: it speaks the protocol of edge/api/src/node.rs, and fails as it is told.

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { plain } from './png.mjs';

/** What it offers: the demo model as far as requests can tell. */
const MODEL = {
  id: 'demo',
  title: 'Stub',
  family: 'demo',
  side: 64,
  max_side: 2048,
  multiple: 8,
  tasks: ['generate', 'edit', 'inpaint', 'upscale', 'crop', 'check'],
  scheduler: 'euler-a',
  sha256: '0'.repeat(64),
};
const PAUSE = 200;

export class StubNode {
  /** Leases in the order in which they came, with `lease.handled`, a promise of what became of each. */
  leases = [];
  /** Answers other than success that the edge gave, as `{what, status}`. */
  refusals = [];
  /** What is done with a lease; tests put their own function in its place. */
  work = (lease) => this.draw(lease);

  #url;
  #token;
  #killed = new AbortController();
  #isEnding = false;
  #loop = null;
  #busy = 0;

  /**
   * `slots` jobs at a time, each taking `delay` milliseconds; `flags` says which of a job's pictures are not fit for work, where it
   * says that it can tell.
   */
  constructor({ url, token, name = 'stub', slots = 8, delay = 0, model = {}, waitSeconds = 1, work = null, flags = null }) {
    this.#url = url;
    this.#token = token;
    Object.assign(this, { name, slots, delay, waitSeconds, flags, model: { ...MODEL, ...model } });
    if (work) this.work = (lease) => work(this, lease);
  }

  start() {
    this.#loop = this.#lease();
  }

  /** Takes no more work, and hands back what still comes; what it has, it leaves as it is. */
  stop() {
    this.#isEnding = true;
    return this.#loop;
  }

  /** Is gone at once, in the middle of asking for work. */
  kill() {
    this.#isEnding = true;
    this.#killed.abort();
  }

  /** Uploads every picture and ends the lease: the usual work. */
  async draw(lease) {
    await this.report(lease, { progress: { phase: 'denoising', step: 1, of: 2, seconds_per_step: 0.01, eta_seconds: 0.01 } });
    if (this.delay > 0) await sleep(this.delay);
    const made = [];
    for (let index = 0; index < batchOf(lease); index += 1) {
      const picture = this.picture(lease, index);
      const status = await this.upload(lease, index, picture.bytes);
      if (status !== 204) return status;
      made.push(picture.made);
    }
    return this.end(lease, { outcome: 'done', pictures: made, seconds: 0.01, batch: 1 });
  }

  /** What it would upload: bytes, and what it says of them. */
  picture({ request }, index) {
    const { spec, factor = 1 } = request.task;
    const [width, height] = (spec?.size ?? [64 * factor, 64 * factor]).map((side) => side * request.upscale);
    const seed = BigInt.asUintN(64, BigInt(spec?.seed ?? 0) + BigInt(index));
    const bytes = plain(width, height, [0n, 8n, 16n].map((shift) => Number((seed >> shift) & 255n)));
    const is_flagged = this.flags?.(request, index) ?? false;
    return { bytes, made: { sha256: sha256(bytes), seed: JSON.rawJSON(String(seed)), width, height, is_flagged } };
  }

  /** An input's bytes, or a status where there are none. */
  async input(lease, name) {
    const response = await this.#call('GET', lease, `inputs/${name}?epoch=${lease.epoch}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    return response.status === 200 ? bytes : response.status;
  }

  /** Says that it is at work; the status of the answer. */
  async report(lease, { progress, preview, epoch = lease.epoch } = {}) {
    return this.#status('report', await this.#call('POST', lease, 'events', { epoch, progress, preview }));
  }

  /** What it is told when it says that it is at work. */
  async heard(lease) {
    const response = await this.#call('POST', lease, 'events', { epoch: lease.epoch });
    return response.json();
  }

  /** The status of the answer. */
  async upload(lease, index, bytes, { epoch = lease.epoch, hash = sha256(bytes) } = {}) {
    const path = `pictures/${index}?epoch=${epoch}`;
    return this.#status('upload', await this.#call('PUT', lease, path, bytes, { 'x-darkroom-sha256': hash }));
  }

  /** The status of the answer. */
  async end(lease, outcome, { epoch = lease.epoch } = {}) {
    return this.#status('end', await this.#call('POST', lease, 'end', { epoch, outcome }));
  }

  async #lease() {
    while (!this.#isEnding) {
      const wanted = this.slots - this.#busy;
      try {
        const response = await this.#fetch('POST', '/node/v1/lease', {
          version: 1,
          node: this.name,
          device: 'stub',
          models: [this.model],
          has_checker: this.flags !== null,
          slots: this.slots,
          wanted,
          wait_seconds: wanted > 0 ? this.waitSeconds : 1,
        });
        if (response.status !== 200) {
          await this.#status('lease', response);
          await sleep(PAUSE);
          continue;
        }
        const { leases } = parsed(await response.text());
        for (const lease of leases) {
          if (this.#isEnding) await this.end(lease, { outcome: 'handed_back' });
          else this.#take(lease);
        }
        if (wanted === 0) await sleep(PAUSE);
      } catch {
        // The edge is away, as it is now and then in these tests.
        await sleep(PAUSE);
      }
    }
  }

  #take(lease) {
    this.#busy += 1;
    lease.handled = (async () => this.work(lease))()
      .catch((error) => error)
      .finally(() => {
        this.#busy -= 1;
      });
    this.leases.push(lease);
  }

  async #status(what, response) {
    await response.arrayBuffer();
    if (response.status >= 300) this.refusals.push({ what, status: response.status });
    return response.status;
  }

  #call(method, lease, path, body, headers) {
    return this.#fetch(method, `/node/v1/jobs/${encodeURIComponent(lease.account)}/${lease.job}/${path}`, body, headers);
  }

  #fetch(method, path, body, headers = {}) {
    const isBytes = body instanceof Uint8Array;
    return fetch(new URL(path, this.#url), {
      method,
      signal: path.endsWith('/lease') ? this.#killed.signal : undefined,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body !== undefined && { 'content-type': isBytes ? 'image/png' : 'application/json' }),
        ...headers,
      },
      body: body === undefined || isBytes ? body : JSON.stringify(body),
    });
  }
}

function batchOf({ request }) {
  return request.task.spec?.batch ?? 1;
}

/** JSON with seeds as text: they have 64 bits, more than a number here holds. */
function parsed(text) {
  return JSON.parse(text.replace(/"seed":(\d+)/g, '"seed":"$1"'));
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}
