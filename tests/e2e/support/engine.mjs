// The engine's worker without the page around it, asked what only tests ask.

import { fileURLToPath } from 'node:url';
import { goldenEngine } from './environment.mjs';

const MANIFEST = 'models/demo/demo-q8_0.gguf.manifest.json';
const DATA = fileURLToPath(new URL('../../golden/data/', import.meta.url));
/** Software WebGPU compiles for minutes on a busy machine. */
const PATIENCE = 600_000;

/** A page of the served origin that starts nothing: any document without a script will do. */
export async function emptyPage(browser, proxy) {
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  await page.goto(`${proxy.url}${MANIFEST}`);
  return { context, page };
}

export class Engine {
  constructor(context, page) {
    this.context = context;
    this.page = page;
  }

  /** Starts the worker of the tests' build on an empty page of the served origin. */
  static async start(browser, proxy) {
    proxy.overlay('/', goldenEngine, ['engine.js', 'engine_bg.wasm']);
    proxy.overlay('/golden/', DATA);
    const { context, page } = await emptyPage(browser, proxy);
    await page.evaluate(startWorker);
    return new Engine(context, page);
  }

  /** The same visitor again, with what is stored, on a new page. */
  async again() {
    const url = this.page.url();
    await this.page.close();
    this.page = await this.context.newPage();
    await this.page.goto(url);
    await this.page.evaluate(startWorker);
  }

  /** Compares a recorded case on `device`, `cpu` or `webgpu`. */
  async compare(name, device) {
    const { answer } = await this.#ask({ golden: JSON.stringify({ case: name, device }) });
    if (answer.error) throw new Error(answer.error);
    return answer.compared;
  }

  /** Loads a model, the demo's unless told otherwise, onto a device. */
  load(device, manifest = `/${MANIFEST}`) {
    const request = { type: 'load', manifest_url: manifest, device };
    return this.#ask({ message: JSON.stringify(request) });
  }

  /** Has the prompts of a run that is coming encoded; nothing is answered. */
  expect({ prompt, negative_prompt: negative = '' }) {
    const request = { type: 'expect', prompt, negative_prompt: negative, clip_skip: 1 };
    return this.page.evaluate((message) => window.tell({ message }), JSON.stringify(request));
  }

  /** Draws with the loaded model: `{events, png}`, the last event being `done`. */
  async generate(spec) {
    const { events, bytes } = await this.#ask({ message: JSON.stringify({ type: 'generate', run: 1, spec, init_image: null }) });
    return { events, png: Buffer.from(bytes) };
  }

  /** Leaves what is loaded from now on to the framework's own operations. */
  useStock() {
    return this.#ask({ golden: JSON.stringify({ stock: true }) });
  }

  /** What `gpu_meter.mjs` has counted so far; counts of a stretch begin anew with `reset`. */
  async meter(kind = 'read') {
    return (await this.#ask({ meter: kind })).meter;
  }

  /** Milliseconds of a kernel's runs; see `worker/kernel_bench.rs`. */
  async bench(question) {
    const { answer } = await this.#ask({ golden: JSON.stringify({ bench: question }) });
    if (answer.error) throw new Error(answer.error);
    return answer.ms;
  }

  /** The final latents of a run with the loaded model. */
  async latents(spec) {
    const { answer, numbers } = await this.#ask({ golden: JSON.stringify({ latents: spec }) });
    if (answer.error) throw new Error(answer.error);
    return Float32Array.from(numbers);
  }

  stop() {
    return this.context.close();
  }

  #ask(message) {
    return this.page.evaluate((question) => window.ask(question), message);
  }
}

/** Runs in the page: `ask` posts a message and waits for the answer, which for a request is `ready` or an error. */
async function startWorker() {
  const worker = new Worker('/engine_loader.js', { type: 'module' });
  let settle;
  let fail;
  let events = [];
  let bytes = [];
  worker.onmessage = ({ data }) => {
    if (data.ready) settle();
    else if (data.meter) settle({ meter: data.meter });
    else if (data.golden) settle({ answer: JSON.parse(data.golden), numbers: [...data.numbers] });
    else {
      const event = JSON.parse(data.message);
      events.push(event);
      if (event.type === 'image') bytes = [...new Uint8Array(data.bytes)];
      if (event.type === 'done') settle({ events, bytes });
      if (event.type === 'ready') settle(event);
      if (event.type === 'error') fail(new Error(event.message));
    }
  };
  worker.onerror = (event) => fail(new Error(event.message));
  const answered = () =>
    new Promise((resolve, reject) => {
      [settle, fail] = [resolve, reject];
    });
  window.ask = (message) => {
    [events, bytes] = [[], []];
    const answer = answered();
    worker.postMessage(message);
    return answer;
  };
  window.tell = (message) => worker.postMessage(message);
  await answered();
}
