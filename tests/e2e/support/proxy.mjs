// A server in front of the real one: it counts what is asked for, and answers wrongly when told to.

import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';

/** Whether a request is for a model's bytes, and not for its manifest. */
export const isModel = ({ path }) => path.endsWith('.gguf');

export class Proxy {
  /** Everything asked for since the last `forget`: `{path, range, bytes}`. */
  requests = [];
  /** Whether every connection is dropped. */
  isOffline = false;

  #upstream;
  #rules = [];
  #server = http.createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy());
  });

  constructor(upstream) {
    this.#upstream = upstream;
  }

  static async start(upstream) {
    const proxy = new Proxy(upstream);
    await new Promise((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}/`;
  }

  /** Has `fault` change the answers to requests that `matches` picks, the next `times` of them. */
  spoil(matches, fault, times = Infinity) {
    this.#rules.push({ matches, fault, left: times });
  }

  /** Has `script` run in the worker before the engine does. */
  runInWorker(script, argument) {
    this.spoil(
      ({ path }) => path === '/engine_loader.js',
      (answer) => ({ ...answer, body: Buffer.concat([Buffer.from(`(${script})(${JSON.stringify(argument)});\n`), answer.body]) }),
    );
  }

  /** Has the files of a folder in place of the server's below `prefix`. */
  overlay(prefix, folder, names = null) {
    this.spoil(
      ({ path }) => path.startsWith(prefix) && (!names || names.includes(path.slice(prefix.length))),
      async (answer, { path }) => {
        const body = await readFile(join(folder, path.slice(prefix.length)));
        const type = /\.m?js$/.test(path) ? 'text/javascript' : path.endsWith('.wasm') ? 'application/wasm' : 'application/octet-stream';
        return { ...answer, status: 200, headers: { ...answer.headers, 'content-type': type }, body };
      },
    );
  }

  /** Has the files of a folder in place of the server's below `prefix`, range by range, however large they are. */
  overlayRanges(prefix, folder) {
    this.spoil(
      ({ path }) => path.startsWith(prefix),
      async (answer, { path, range }) => {
        const file = await open(join(folder, path.slice(prefix.length)));
        try {
          const { size } = await file.stat();
          const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [null, 0, size - 1];
          const last = Math.min(Number(to), size - 1);
          const body = Buffer.alloc(last - from + 1);
          await file.read(body, 0, body.length, Number(from));
          const headers = { 'content-type': 'application/octet-stream', 'accept-ranges': 'bytes' };
          if (!range) return { ...answer, status: 200, headers, body };
          return { ...answer, status: 206, headers: { ...headers, 'content-range': `bytes ${from}-${last}/${size}` }, body };
        } finally {
          await file.close();
        }
      },
    );
  }

  /** Serves the model in `count` ranges, however its manifest cuts it. */
  cutModelInto(count) {
    this.spoil(
      ({ path }) => path.endsWith('.manifest.json'),
      async (answer, request) => {
        const manifest = JSON.parse(answer.body);
        const url = new URL(manifest.file, new URL(request.path, this.#upstream));
        const { body } = await fetchWhole(url, {});
        manifest.range_size = Math.ceil(body.length / count);
        manifest.ranges = [];
        for (let offset = 0; offset < body.length; offset += manifest.range_size) {
          const range = body.subarray(offset, offset + manifest.range_size);
          manifest.ranges.push(createHash('sha256').update(range).digest('hex'));
        }
        return { ...answer, body: Buffer.from(JSON.stringify(manifest)) };
      },
    );
  }

  /** Answers rightly again. */
  heal() {
    this.#rules = [];
    this.isOffline = false;
  }

  /** Forgets what was asked for. */
  forget() {
    this.requests = [];
  }

  stop() {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(incoming, response) {
    const url = new URL(incoming.url, this.#upstream);
    const request = { path: url.pathname, range: incoming.headers.range ?? null, bytes: 0 };
    this.requests.push(request);
    if (this.isOffline) return response.destroy();
    const headers = { ...incoming.headers, host: url.host };
    // A changed answer must not be kept from the browser by a 304 about the unchanged one.
    delete headers['if-modified-since'];
    delete headers['if-none-match'];
    let answer = await fetchWhole(url, headers);
    for (const rule of this.#rules.filter(({ matches, left }) => left > 0 && matches(request))) {
      rule.left -= 1;
      answer = await rule.fault(answer, request);
    }
    if (answer.isSilent) return undefined;
    if (this.isOffline) return response.destroy();
    request.bytes = answer.body.length;
    response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.declaredLength ?? answer.body.length });
    if (answer.declaredLength === undefined) return response.end(answer.body);
    return response.write(answer.body, () => response.destroy());
  }
}

function fetchWhole(url, headers) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { headers, agent: false }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const { connection, 'transfer-encoding': encoding, ...kept } = response.headers;
        resolve({ status: response.statusCode, headers: kept, body: Buffer.concat(chunks) });
      });
    });
    request.on('error', reject);
  });
}
