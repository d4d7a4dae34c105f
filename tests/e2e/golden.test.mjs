// The engine's worker against the reference implementation's tensors, and against the native program's latents.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { launch } from './support/chromium.mjs';
import { Engine } from './support/engine.mjs';
import { pageUrl } from './support/environment.mjs';
import { generate } from './support/native.mjs';
import { Proxy } from './support/proxy.mjs';

const { cases } = JSON.parse(await readFile(new URL('../golden/data/cases.json', import.meta.url), 'utf8'));
/** On software WebGPU a whole picture takes a minute: modules run there every time, of pictures the first, all by DARKROOM_ALL_GOLDENS=1. */
const USUAL =
  /^(sd(15|21)-(text|unet|text2img-noguidance)|sd15-text2img|vae|taesd|ddim(-vpred.*)?|euler(-a|-karras|-trailing.*|-vpred)?|dpmpp-2m(-karras)?|noise-torch-cpu)$/;
const isLeftOut = (name, device) => device === 'webgpu' && !USUAL.test(name);
const runsAll = process.env.DARKROOM_ALL_GOLDENS === '1';
const DRAWING = { prompt: 'a red apple on a blue background', steps: 4, seed: 1234 };

let browser;
let proxy;
let engine;
before(async () => {
  [browser, proxy] = await Promise.all([launch(), Proxy.start(pageUrl)]);
  engine = await Engine.start(browser, proxy);
});
after(async () => {
  await engine?.stop();
  await Promise.all([browser?.close(), proxy?.stop()]);
});

for (const device of ['cpu', 'webgpu']) {
  for (const { name } of cases) {
    const skip = isLeftOut(name, device) && !runsAll && 'DARKROOM_ALL_GOLDENS=1 runs it';
    test(`${name} equals the reference in the worker on ${device}`, { skip }, async (t) => {
      const compared = await engine.compare(name, device);
      assert.ok(compared.length > 0);
      const worst = compared.reduce((a, b) => (a.error > b.error ? a : b));
      t.diagnostic(`largest error ${worst.error.toExponential(1)} (${worst.what})`);
      const off = compared.filter(({ holds }) => !holds);
      assert.deepEqual(off, []);
    });
  }
}

for (const device of ['cpu', 'webgpu']) {
  test(`the latents in the worker on ${device} are those of the native program`, async (t) => {
    const worker = await Engine.start(browser, proxy);
    await worker.load(device);
    const found = await worker.latents({ ...DRAWING, guidance: 4, size: [64, 64] });
    await worker.stop();
    const { latents: expected } = await generate(DRAWING);
    assert.equal(found.length, expected.length);
    const norm = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
    const error = norm(found.map((value, index) => value - expected[index])) / norm(expected);
    t.diagnostic(`relative error ${error.toExponential(1)}`);
    assert.ok(error < 1e-3, `off by ${error}`);
  });
}
