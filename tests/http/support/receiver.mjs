// What webhooks arrive at, and pictures are fetched from: a server of the tests' own, in good and in bad health.

import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

export class Receiver {
  /** What arrived: `{path, headers, body, answered}`. */
  requests = [];
  /** The most requests that were open at the same time. */
  mostAtOnce = 0;
  /** How the next requests are answered: a status, `silent`, `cut`, or a function of the request and the response. */
  answer = 204;

  #open = 0;
  #server = http.createServer((request, response) => void this.#handle(request, response));

  static async start() {
    const receiver = new Receiver();
    await receiver.up();
    return receiver;
  }

  /** Listens, again on the same port if it did before. */
  async up() {
    this.#server.listen(this.port ?? 0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = this.#server.address().port;
  }

  /** Refuses connections. */
  async down() {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async stop() {
    if (this.#server.listening) await this.down();
  }

  /** Host and port, as the edge's exceptions name it. */
  get host() {
    return `127.0.0.1:${this.port}`;
  }

  url(path = '/hook') {
    return `http://${this.host}${path}`;
  }

  async #handle(request, response) {
    this.#open += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#open);
    response.once('close', () => {
      this.#open -= 1;
    });
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const seen = { path: request.url, method: request.method, headers: request.headers, body: Buffer.concat(pieces) };
    this.requests.push(seen);
    const { answer } = this;
    if (typeof answer === 'function') await answer(seen, response);
    else if (answer === 'cut') response.destroy();
    else if (answer !== 'silent') response.writeHead(answer).end();
  }
}

/** Whether a delivery is signed with `secret` as Standard Webhooks 1.0 says. */
export function isSigned({ headers, body }, secret) {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const signed = Buffer.concat([Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), body]);
  const expected = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
  return headers['webhook-signature'].split(' ').includes(expected);
}
