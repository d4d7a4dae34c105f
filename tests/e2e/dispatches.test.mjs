// How many kernels a denoising step starts on the GPU.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './support/chromium.mjs';
import { Engine } from './support/engine.mjs';
import { pageUrl } from './support/environment.mjs';
import { meterWorker } from './support/gpu_meter.mjs';
import { Proxy } from './support/proxy.mjs';

const DRAWING = { prompt: 'a red apple on a blue background', seed: 1, guidance: 4, size: [64, 64] };

let browser;
let proxy;
before(async () => {
  [browser, proxy] = await Promise.all([launch(), Proxy.start(pageUrl)]);
  meterWorker(proxy);
});
after(() => Promise.all([browser?.close(), proxy?.stop()]));

/** Dispatches of one step of the demo model: what two steps take more than one. */
async function perStep(isStock) {
  const engine = await Engine.start(browser, proxy);
  if (isStock) await engine.useStock();
  await engine.load('webgpu');
  // The prompt is encoded once, and remembered.
  await engine.latents({ ...DRAWING, steps: 1 });
  const counts = [];
  for (const steps of [1, 2]) {
    await engine.meter('reset');
    await engine.latents({ ...DRAWING, steps });
    counts.push((await engine.meter()).dispatches);
  }
  await engine.stop();
  return counts[1] - counts[0];
}

test("a step starts at most a third of the kernels that the framework's own operations take", async (t) => {
  const [ours, stock] = [await perStep(false), await perStep(true)];
  t.diagnostic(`${ours} dispatches a step, ${stock} without our kernels: ${(stock / ours).toFixed(2)} times`);
  assert.ok(ours * 3 <= stock, `${ours} dispatches a step, ${stock} without our kernels`);
});

test('what the first picture takes is compiled while the model is on its way', async (t) => {
  const engine = await Engine.start(browser, proxy);
  await engine.load('webgpu');
  const loading = (await engine.meter('reset')).pipelines;
  await engine.generate({ ...DRAWING, steps: 2 });
  const drawing = (await engine.meter()).pipelines;
  await engine.stop();
  t.diagnostic(`${loading} pipelines before the model is ready, ${drawing} in the first picture`);
  assert.ok(drawing * 10 <= loading, `${drawing} pipelines are left to the first picture, of ${loading + drawing}`);
});

test('a prompt that was told before the model is here is not encoded again', async () => {
  const engine = await Engine.start(browser, proxy);
  await engine.expect(DRAWING);
  await engine.load('webgpu');
  const dispatches = async (prompt) => {
    await engine.meter('reset');
    await engine.latents({ ...DRAWING, prompt, steps: 1 });
    return (await engine.meter()).dispatches;
  };
  const told = await dispatches(DRAWING.prompt);
  const untold = await dispatches('a blue boat on a green background');
  const again = await dispatches(DRAWING.prompt);
  await engine.stop();
  const counts = `${told} dispatches with the prompt that was told, ${untold} with another, ${again} with the first again`;
  assert.ok(told < untold && again < untold, counts);
});
