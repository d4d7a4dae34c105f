// A client of the service that hides nothing: answers with status, headers and body.

import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_EVERY = 100;
const PATIENCE = 120_000;

/** A request for a small picture that every node can draw. */
export const SMALL = { task: 'generate', model: 'demo', prompt: 'a dog on a blue background', width: 64, height: 64, steps: 4 };

export class Client {
  constructor(url, key, account = null) {
    this.url = url;
    this.key = key;
    this.account = account;
  }

  /** One call: `{status, headers, body, bytes}`, the body parsed where it is JSON, else its bytes. */
  async call(method, path, body = undefined, headers = {}) {
    const isRaw = body === undefined || typeof body === 'string' || body instanceof Uint8Array || body instanceof FormData;
    const response = await fetch(new URL(path, this.url), {
      method,
      redirect: 'manual',
      headers: {
        ...(this.key && { authorization: `Bearer ${this.key}` }),
        ...(!isRaw && { 'content-type': 'application/json' }),
        ...headers,
      },
      body: isRaw ? body : JSON.stringify(body),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    const isJson = /[/+]json\b/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(bytes) : bytes, bytes };
  }

  /** The JSON of a call that must succeed. */
  async json(method, path, body = undefined, headers = {}) {
    const answer = await this.call(method, path, body, headers);
    if (answer.status >= 300) throw new Error(`${method} ${path} is answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** Asks for pictures; the job as it is accepted. */
  make(request = {}, headers = {}) {
    return this.json('POST', '/v1/images', { ...SMALL, ...request }, headers);
  }

  /** The job when it is over. */
  async over(id) {
    for (const start = Date.now(); Date.now() - start < PATIENCE; await sleep(LOOK_EVERY)) {
      const job = await this.json('GET', `/v1/jobs/${id}`);
      if (['succeeded', 'failed', 'cancelled'].includes(job.status)) return job;
    }
    throw new Error(`${id} is not over`);
  }

  /** A call of the Stable Diffusion API: the key in the body. */
  modelslab(path, body = {}) {
    return new Client(this.url, null).call('POST', `/api/${path}`, { key: this.key, ...body });
  }
}
