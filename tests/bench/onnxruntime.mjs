// The demo model's UNet in onnxruntime-web and in the engine's worker, one after the other in the same browser.

import { basename, dirname } from 'node:path';
import { Engine, emptyPage } from '../e2e/support/engine.mjs';
import { meterWorker } from '../e2e/support/gpu_meter.mjs';
import { countDispatches } from './dispatches.mjs';

const { DARKROOM_ORT: runtime, DARKROOM_ONNX: model } = process.env;
/** A pass is a batch of two: one step of a picture with guidance. */
const PASSES = { cpu: 40, webgpu: 3 };
const SPEC = { prompt: 'a red apple on a blue background', seed: 1, guidance: 4, size: [64, 64] };

/** Seconds and dispatches per denoising step on `device`, ours and theirs. */
export async function comparison(browser, proxy, device) {
  const passes = PASSES[device];
  const ours = await oursPerStep(browser, proxy, device, passes);
  const theirs = await theirsPerPass(browser, proxy, device, passes);
  const name = `browser ${device}: seconds per UNet pass, against onnxruntime-web`;
  const counts = device === 'webgpu' && { dispatches: ours.dispatches, dispatches_theirs: theirs.dispatches };
  return { name, ours: ours.seconds, theirs: theirs.seconds, ratio: theirs.seconds / ours.seconds, ...counts, unit: 's' };
}

/** A long run less a short one, without previews: what remains is the UNet, and next to nothing for the scheduler. */
async function oursPerStep(browser, proxy, device, passes) {
  meterWorker(proxy);
  const engine = await Engine.start(browser, proxy);
  await engine.load(device);
  const run = async (steps) => {
    await engine.meter('reset');
    const start = performance.now();
    await engine.latents({ ...SPEC, steps });
    return { seconds: (performance.now() - start) / 1000, dispatches: (await engine.meter()).dispatches };
  };
  await run(1);
  const short = await run(1);
  const long = await run(1 + passes);
  await engine.stop();
  proxy.heal();
  const each = (field) => (long[field] - short[field]) / passes;
  return { seconds: each('seconds'), dispatches: each('dispatches') };
}

async function theirsPerPass(browser, proxy, device, passes) {
  proxy.overlay('/ort/', runtime);
  proxy.overlay('/onnx/', dirname(model));
  const { context, page } = await emptyPage(browser, proxy);
  const options = { url: `/onnx/${basename(model)}`, provider: device === 'cpu' ? 'wasm' : 'webgpu', passes };
  await page.evaluate(countDispatches);
  const perPass = await page.evaluate(timePasses, options);
  await context.close();
  proxy.heal();
  return perPass;
}

/** Runs in the page. */
async function timePasses({ url, provider, passes }) {
  // The build for WebGPU is slower on the CPU than the one that is made for it.
  const ort = await import(provider === 'wasm' ? '/ort/ort.wasm.min.mjs' : '/ort/ort.webgpu.min.mjs');
  ort.env.wasm.wasmPaths = '/ort/';
  // The engine's CPU backend has one thread too.
  ort.env.wasm.numThreads = 1;
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  const session = await ort.InferenceSession.create(bytes, { executionProviders: [provider] });
  const random = (dims) => {
    const count = dims.reduce((a, b) => a * b);
    return new ort.Tensor('float32', Float32Array.from({ length: count }, () => Math.random() - 0.5), dims);
  };
  const shapes = Object.fromEntries(session.inputMetadata.map(({ name, shape }) => [name, shape]));
  const feeds = {
    sample: random(shapes.sample),
    timestep: new ort.Tensor('float32', Float32Array.from([500, 500]), [2]),
    encoder_hidden_states: random(shapes.encoder_hidden_states),
  };
  const pass = async () => {
    const { out } = await session.run(feeds);
    await out.getData();
  };
  await pass();
  const [start, before] = [performance.now(), globalThis.dispatches];
  for (let index = 0; index < passes; index += 1) await pass();
  return { seconds: (performance.now() - start) / 1000 / passes, dispatches: (globalThis.dispatches - before) / passes };
}
