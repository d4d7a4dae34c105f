// Our GPU kernels beside burn's operations and onnxruntime-web's, in the same page and in turns.

import { fileURLToPath } from 'node:url';
import { Engine } from '../e2e/support/engine.mjs';
import { meterWorker } from '../e2e/support/gpu_meter.mjs';
import { countDispatches } from './dispatches.mjs';
import { CASES, NETWORK_CASES } from './kernel_cases.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROUNDS = { kernels: 5, networks: 2 };
/** A CPU is done with a case in milliseconds, and a page's clock counts tenths of them. */
const CPU_RUNS = 10;

/** Figures of every kernel, as they come. */
export function kernelFigures(browser, proxy) {
  return figuresOf(CASES, ROUNDS.kernels, browser, proxy);
}

/** Figures of whole networks of Stable Diffusion 1.5's shape, as they come. */
export function networkFigures(browser, proxy) {
  proxy.overlay('/sd15/', process.env.DARKROOM_SD15);
  return figuresOf(NETWORK_CASES, ROUNDS.networks, browser, proxy);
}

async function* figuresOf(cases, rounds, browser, proxy) {
  proxy.overlay('/ort/', process.env.DARKROOM_ORT);
  proxy.overlay('/bench/', HERE);
  meterWorker(proxy);
  const engine = await Engine.start(browser, proxy);
  await engine.page.evaluate(countDispatches);
  for (const one of cases) {
    yield await compared(engine, one, rounds);
    await engine.page.evaluate(forgetTheirs);
  }
  await engine.stop();
  proxy.heal();
}

async function compared(engine, { test, name, runs, hasCpu, sides: others, work }, rounds) {
  const ours = (side, count) => new Ours(engine, { ...test, side }, count);
  const theirs = (provider, layout, count) => new Theirs(engine, { test: theirModel(test), provider, layout }, count);
  const layouts = ['conv3x3', 'taesd', 'vae'].includes(test.kernel) ? ['NHWC', 'NCHW'] : ['NHWC'];
  const sides = {
    ours: ours('ours', runs),
    ...(others.includes('burn') && { burn: ours('burn', runs) }),
    ort: await fastest(layouts.map((layout) => theirs('webgpu', layout, runs))),
    ...(hasCpu && { cpu: ours('cpu', CPU_RUNS), wasm: theirs('wasm', 'NHWC', CPU_RUNS) }),
  };
  for (const side of Object.values(sides)) await side.warmUp();
  for (let round = 0; round < rounds; round += 1) {
    for (const side of Object.values(sides)) await side.takeTurn();
  }
  return figures(name, work, sides);
}

function figures(name, work, { ours, burn, ort, cpu, wasm }) {
  const found = [
    ...(burn ? [{ name: `webgpu: ${name}, against burn`, ...ratio(ours, burn), ...work, unit: 'ms' }] : []),
    { name: `webgpu: ${name}, against onnxruntime-web`, ...ratio(ours, ort), ...work, unit: 'ms' },
  ];
  // There the engine has burn's operations.
  if (cpu) found.push({ name: `cpu: ${name}, against onnxruntime-web`, ...ratio(cpu, wasm), unit: 'ms' });
  return found;
}

/** What onnxruntime has for weights like ours: packed matrices, and single precision for all else (f16 takes an adapter that has it). */
function theirModel(test) {
  if (['unet', 'vae'].includes(test.kernel)) return { url: `/sd15/${test.kernel}.onnx` };
  const isPacked = test.kernel === 'matmul' && test.format.startsWith('q');
  return { ...test, format: isPacked ? test.format : 'f32' };
}

/** A lone convolution is as fast or as slow as the layout that its neighbours would choose: theirs is the better of both. */
async function fastest(sides) {
  for (const side of sides) await side.warmUp();
  return sides.reduce((best, side) => (side.warm < best.warm ? side : best));
}

function ratio(ours, theirs) {
  const ratios = ours.times.map((time, round) => theirs.times[round] / time);
  return {
    ours: median(ours.times),
    theirs: median(theirs.times),
    ratio: median(ratios),
    min: Math.min(...ratios),
    max: Math.max(...ratios),
    ...(ours.dispatches > 0 && { dispatches: ours.dispatches, dispatches_theirs: theirs.dispatches }),
  };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** One that computes a case. */
class Side {
  times = [];
  dispatches = 0;
  /** Milliseconds of two runs, once it is warm. */
  warm = null;

  constructor(engine, question, runs) {
    this.engine = engine;
    this.question = question;
    this.runs = runs;
  }

  /** Sets up and compiles, then counts; reading one number of the result takes a dispatch at most. */
  async warmUp() {
    if (this.warm !== null) return;
    await this.run(1);
    const before = await this.count();
    this.warm = await this.run(2);
    this.dispatches = Math.floor(((await this.count()) - before) / 2);
  }

  async takeTurn() {
    this.times.push((await this.run(this.runs)) / this.runs);
  }
}

class Ours extends Side {
  /** Milliseconds of so many runs. */
  run(runs) {
    return this.engine.bench({ ...this.question, runs });
  }

  /** Dispatches so far. */
  async count() {
    return (await this.engine.meter()).dispatches;
  }
}

class Theirs extends Side {
  run(runs) {
    return this.engine.page.evaluate(askTheirs, { ...this.question, runs });
  }

  count() {
    return this.engine.page.evaluate(() => globalThis.dispatches);
  }
}

/** Runs in the page. */
async function askTheirs(question) {
  const { measure } = await import('/bench/ort_side.mjs');
  return measure(question);
}

/** Runs in the page. */
async function forgetTheirs() {
  const { forget } = await import('/bench/ort_side.mjs');
  await forget();
}
