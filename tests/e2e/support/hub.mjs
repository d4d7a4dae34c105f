// A server of models on an origin of its own, shaped like the Hub: it lists repositories and answers ranges, across origins.

import { createHash } from 'node:crypto';
import http from 'node:http';

/** A model's manifest, cut into `count` ranges. */
export function manifestOf(file, body, count) {
  const size = Math.ceil(body.length / count);
  const ranges = Array.from({ length: count }, (_, k) => sha256(body.subarray(k * size, (k + 1) * size)));
  return { file, size: body.length, sha256: sha256(body), range_size: size, ranges };
}

export function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

export class Hub {
  /** Everything asked for since the last `forget`: `{path, range}`. */
  requests = [];
  /** Whether other pages may read from it. */
  hasCors = true;
  /** Whether it answers a range with a range. */
  knowsRanges = true;
  /** Called with each request before it is answered; whoever waits in it holds the answer up. */
  before = async () => {};

  /** Bytes by path. */
  #files = new Map();
  /** Listed files by repository. */
  #trees = new Map();
  #server = http.createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy());
  });

  static async start() {
    const hub = new Hub();
    await new Promise((resolve) => hub.#server.listen(0, '127.0.0.1', resolve));
    return hub;
  }

  /** Its address, without a slash at its end. */
  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Serves bytes at a path. */
  serve(path, body) {
    this.#files.set(path, Buffer.from(body));
  }

  /** Serves a model and its manifest below `/models/NAME/`; returns the manifest's address. */
  serveModel(name, body, { ranges = 5, change = (manifest) => manifest } = {}) {
    const file = `${name}.gguf`;
    const path = `/models/${name}/${file}`;
    this.serve(path, body);
    this.serve(`${path}.manifest.json`, JSON.stringify(change(manifestOf(file, body, ranges))));
    return `${this.url}${path}.manifest.json`;
  }

  /** Lists a repository; large files are stored as LFS does. */
  list(repository, files) {
    const entries = Object.entries(files).map(([path, body]) => {
      this.serve(`/${repository}/resolve/main/${path}`, body);
      const entry = { type: 'file', oid: '0'.repeat(40), size: body.length, path };
      const isLarge = /\.(gguf|safetensors|ckpt|bin)$/.test(path);
      return isLarge ? { ...entry, lfs: { oid: sha256(body), size: body.length, pointerSize: 134 } } : entry;
    });
    this.#trees.set(repository, entries);
  }

  /** Ranges of models that were asked for, in order. */
  ranges() {
    return this.requests.filter(({ path, range }) => path.endsWith('.gguf') && range).map(({ range }) => range);
  }

  /** Forgets what was asked for. */
  forget() {
    this.requests = [];
  }

  /** Answers rightly and at once again. */
  heal() {
    this.hasCors = true;
    this.knowsRanges = true;
    this.before = async () => {};
  }

  stop() {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(incoming, response) {
    const path = decodeURIComponent(new URL(incoming.url, this.url).pathname);
    const request = { path, range: incoming.headers.range ?? null };
    const headers = this.hasCors
      ? { 'access-control-allow-origin': '*', 'access-control-allow-headers': 'range', 'access-control-expose-headers': 'content-range' }
      : {};
    if (incoming.method === 'OPTIONS') return response.writeHead(204, headers).end();
    this.requests.push(request);
    await this.before(request);
    const repository = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/main$/.exec(path)?.[1];
    const body = repository ? this.#tree(repository) : this.#files.get(path);
    if (!body) return response.writeHead(404, headers).end('not found');
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.range ?? '') ?? [];
    if (from === undefined || !this.knowsRanges) {
      return response.writeHead(200, { ...headers, 'content-length': body.length }).end(body);
    }
    const part = body.subarray(Number(from), Number(to) + 1);
    if (part.length === 0) return response.writeHead(416, headers).end();
    const range = `bytes ${from}-${Number(from) + part.length - 1}/${body.length}`;
    return response.writeHead(206, { ...headers, 'content-range': range, 'content-length': part.length }).end(part);
  }

  #tree(repository) {
    const entries = this.#trees.get(repository);
    return entries && Buffer.from(JSON.stringify(entries));
  }
}
