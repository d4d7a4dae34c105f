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

  /** Compares a recorded case on `device`, `cpu` or `webgpu`. */
  async compare(name, device) {
    const { answer } = await this.#ask({ golden: JSON.stringify({ case: name, device }) });
    if (answer.error) throw new Error(answer.error);
    return answer.compared;
  }

  /** Loads the demo model onto a device. */
  load(device) {
    const request = { type: 'load', manifest_url: `/${MANIFEST}`, device };
    return this.#ask({ message: JSON.stringify(request) });
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
  worker.onmessage = ({ data }) => {
    if (data.ready) settle();
    else if (data.golden) settle({ answer: JSON.parse(data.golden), numbers: [...data.numbers] });
    else {
      const event = JSON.parse(data.message);
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
    const answer = answered();
    worker.postMessage(message);
    return answer;
  };
  await answered();
}
