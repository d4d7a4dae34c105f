// An edge that stands behind the page by route interception: it answers /v1 from a few variables and notes what it is asked.

import { createHash } from 'node:crypto';
import { solidPng } from './png.mjs';

/** Width and height of everything that this edge draws. */
const SIDE = 64;
const TIME = '2026-11-21T13:31:44.123Z';
/** Colours of previews and of pictures, far from each other and from an empty plate. */
export const PREVIEW = [20, 200, 40];
export const PICTURE = [40, 60, 220];

/** Parameters in the files of pictures. */
export const PARAMETERS = 'a red apple\nSteps: 4, Seed: 7';

export class Edge {
  /** Everything asked for: `{method, path, headers, body}`. */
  requests = [];
  credits = 20;
  keys = [];
  /** Answers that take the place of the usual ones, by method and path, each a function of the request. */
  answers = new Map();
  /** Bodies of the event streams, one for each connection; the last one stays. */
  streams = [];
  /** Held answers wait for this. */
  #gates = new Map();
  #made = 0;

  /** Puts an edge behind a page that is not opened yet. */
  static async behind(page, { key } = {}) {
    const edge = new Edge();
    if (key) {
      edge.#add(key);
      await page.addInitScript((kept) => {
        // Only at first: what the page does to it later stays.
        if (!sessionStorage.getItem('prepared')) localStorage.setItem('darkroom-key', kept);
        sessionStorage.setItem('prepared', 'yes');
      }, key);
    }
    await page.route(/\/(v1|pictures)\//, (route) => edge.#handle(route));
    return edge;
  }

  /** Holds answers to this method and path until the returned function is called. */
  hold(name) {
    let open;
    this.#gates.set(name, new Promise((resolve) => (open = resolve)));
    return open;
  }

  /** Requests to a method and path. */
  asked(name) {
    return this.requests.filter(({ method, path }) => `${method} ${path}` === name);
  }

  /** The one picture of the job. */
  picture(seed = 7) {
    const file = this.file();
    const sha256 = createHash('sha256').update(file).digest('hex');
    // Another name of the same edge, which the page's policy would not let it ask.
    const url = 'https://pictures.example/pictures/acc_1/job_1/1/0.png?exp=1&kid=1&sig=x';
    return { url, seed, width: SIDE, height: SIDE, sha256, flagged: false };
  }

  file() {
    return solidPng(SIDE, SIDE, PICTURE, PARAMETERS);
  }

  preview() {
    return { index: 0, png: solidPng(SIDE, SIDE, PREVIEW).toString('base64') };
  }

  job(changes = {}) {
    const path = '/v1/jobs/job_1';
    return {
      id: 'job_1',
      status: 'queued',
      task: 'generate',
      model: 'demo',
      price: 1,
      created_at: TIME,
      finished_at: null,
      position: 2,
      eta_seconds: 3.5,
      progress: null,
      pictures: [],
      error: null,
      expires_at: null,
      links: { self: path, events: `${path}/events`, cancel: `${path}/cancel` },
      ...changes,
    };
  }

  async #handle(route) {
    const request = route.request();
    const { pathname } = new URL(request.url());
    const text = request.postData();
    const asked = {
      method: request.method(),
      path: pathname,
      headers: request.headers(),
      body: text ? JSON.parse(text) : null,
    };
    this.requests.push(asked);
    const name = `${asked.method} ${asked.path}`;
    await this.#gates.get(name);
    const answer = this.answers.get(name)?.(asked) ?? this.#answer(name, asked);
    // Who asked may have left.
    await route.fulfill(answer).catch(() => {});
  }

  #answer(name, asked) {
    if (name === 'GET /v1/models') return json(200, { models: [MODEL] });
    if (name === 'POST /v1/accounts') return json(201, { account: 'acc_1', key: this.#add(), credits: this.credits });
    if (asked.path.startsWith('/pictures/')) return { status: 200, contentType: 'image/png', body: this.file() };
    const key = asked.headers.authorization?.replace(/^Bearer /, '');
    if (!this.keys.some((known) => known.key === key)) return problem(401, 'unauthenticated', 'this key is not known here');
    return this.#answerKnown(name, asked);
  }

  #answerKnown(name, { path, body }) {
    switch (name) {
      case 'GET /v1/usage':
        return json(200, { ...USAGE, credits: this.credits });
      case 'GET /v1/keys':
        return json(200, { keys: this.keys.map(({ key, ...shown }) => shown) });
      case 'POST /v1/keys':
        this.#add(undefined, body);
        return json(201, this.keys.at(-1));
      case 'POST /v1/images/estimate':
        return json(200, { price: body.samples, eta_seconds: 2, position: 0, model: 'demo' });
      case 'POST /v1/images':
        return { ...json(202, this.job()), headers: { location: '/v1/jobs/job_1' } };
      case 'GET /v1/jobs/job_1/events': {
        const stream = this.streams.length > 1 ? this.streams.shift() : this.streams[0];
        return { status: 200, contentType: 'text/event-stream', body: stream };
      }
      case 'POST /v1/jobs/job_1/cancel':
        return json(200, this.job({ status: 'cancelled', position: null, eta_seconds: null, finished_at: TIME }));
      case 'DELETE /v1/account':
        this.keys = [];
        return { status: 202, contentType: 'application/json', body: '{}' };
    }
    const id = /^\/v1\/keys\/(key_\d+)/.exec(path)?.[1];
    const known = this.keys.find((candidate) => candidate.id === id);
    if (!known) return problem(404, 'not_found', 'nothing is here');
    if (name.startsWith('DELETE')) {
      this.keys = this.keys.filter((other) => other !== known);
      return { status: 204 };
    }
    known.key = this.#name(known.kind);
    known.shown = known.key.slice(0, 12);
    return json(200, known);
  }

  #name(kind) {
    this.#made += 1;
    return `${kind === 'publishable' ? 'pk' : 'sk'}_live_${String(this.#made).padStart(4, '0')}${'x'.repeat(28)}`;
  }

  #add(key, { kind = 'secret', name = '', origins = [] } = {}) {
    const made = key ?? this.#name(kind);
    this.keys.push({
      id: `key_${this.keys.length + 1}`,
      kind,
      shown: made.slice(0, 12),
      name,
      scopes: kind === 'secret' ? ['images', 'account'] : ['images'],
      origins,
      created_at: TIME,
      last_used_at: null,
      key: made,
    });
    return made;
  }
}

/** Text of a stream of `[name, data]` events whose ids begin after `before`. */
export function stream(events, before = 0) {
  const text = events.map(([name, data], index) => `id: ${before + index + 1}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  return `: hello\n\n${text.join('')}`;
}

export function problem(status, code, detail, errors) {
  return { ...json(status, { type: `/docs/problems#${code}`, title: code, status, code, detail, errors }), contentType: 'application/problem+json' };
}

function json(status, body) {
  return { status, contentType: 'application/json', body: JSON.stringify(body) };
}

const MODEL = {
  id: 'demo',
  title: 'Demo',
  family: 'demo',
  side: SIDE,
  max_side: 256,
  multiple: 8,
  tasks: ['generate', 'edit'],
  scheduler: 'ddim',
  sha256: '0'.repeat(64),
  available: true,
};

const USAGE = {
  plan: 'free',
  held: 1,
  images_this_month: 3,
  images_per_month: null,
  queued: 1,
  queued_jobs: 5,
  requests_per_window: 150,
  days: [{ day: '2026-11-21', images: 3, credits: 3 }],
};
