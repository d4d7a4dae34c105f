// A model of SD-Turbo's real size, with random weights: into the page's storage, onto the GPU, and a picture out of it.

import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { launch } from './support/chromium.mjs';
import { Engine } from './support/engine.mjs';
import { fullSizeModel, pageUrl } from './support/environment.mjs';
import { meterWorker } from './support/gpu_meter.mjs';
import { generate } from './support/native.mjs';
import { readPng } from './support/png.mjs';
import { Proxy, isModel } from './support/proxy.mjs';

const MIB = 1 << 20;
const MANIFEST = `/full/${basename(fullSizeModel)}.manifest.json`;
/** One step of 64 x 64: what a software adapter can bear. */
const DRAWING = { prompt: 'a red apple on a blue background', steps: 1, seed: 1, guidance: 1, size: [64, 64] };

let browser;
let proxy;
let engine;
before(async () => {
  [browser, proxy] = await Promise.all([launch(), Proxy.start(pageUrl)]);
  proxy.overlayRanges('/full/', dirname(fullSizeModel));
  meterWorker(proxy);
  engine = await Engine.start(browser, proxy);
});
after(async () => {
  await engine?.stop();
  await Promise.all([browser?.close(), proxy?.stop()]);
});

const askedFor = () => proxy.requests.filter(isModel);

test('it is fetched by ranges, goes on after a reload, and takes no more memory than its size', async (t) => {
  const { size } = await stat(fullSizeModel);
  assert.ok(size <= 700e6, `${size} bytes are to be fetched`);

  const lost = engine.load('webgpu', MANIFEST).catch(() => {});
  while (askedFor().length < 12) await setTimeout(50);
  await engine.again();
  await lost;
  const before = new Set(askedFor().map(({ range }) => range));
  proxy.forget();
  const ready = await engine.load('webgpu', MANIFEST);
  const after = askedFor().map(({ range }) => range);
  // The last one may have been under way, and then is not stored.
  const twice = after.filter((range) => before.has(range));
  assert.ok(twice.length <= 1, `fetched again after the reload: ${twice}`);
  assert.equal(new Set([...before, ...after]).size, Math.ceil(size / (16 * MIB)));

  const meter = await engine.meter('reset');
  t.diagnostic(`${size} bytes in the file, ${meter.live} in GPU buffers, ${ready.load_seconds.toFixed(1)} s`);
  assert.ok(meter.live <= 1.05 * size, `${meter.live} bytes of GPU buffers`);
  assert.ok(meter.largestBody <= 64 * MIB && meter.largestWrite <= 64 * MIB, JSON.stringify(meter));
});

test('a second visit fetches nothing, and draws what the native program draws', async (t) => {
  await engine.again();
  proxy.forget();
  const ready = await engine.load('webgpu', MANIFEST);
  assert.deepEqual(askedFor(), []);
  await engine.meter('reset');

  const { events, png } = await engine.generate(DRAWING);
  const { wasm_memory_bytes: memory, seconds } = events.at(-1);
  const { peak, dispatches } = await engine.meter();
  const heap = await engine.page.evaluate(() => performance.memory.usedJSHeapSize);
  t.diagnostic(
    `onto the GPU in ${ready.load_seconds.toFixed(1)} s; a picture in ${seconds.toFixed(0)} s, ${dispatches} dispatches; ` +
      `wasm ${memory}, page heap ${heap}, GPU buffers at most ${peak} bytes`,
  );
  assert.ok(memory <= 256 * MIB, `${memory} bytes of wasm memory`);
  assert.ok(heap <= 64 * MIB, `${heap} bytes of page heap`);

  const native = await generate({ ...DRAWING, model: fullSizeModel, width: 64, height: 64 });
  const [found, expected] = [readPng(png).rgb, readPng(native.bytes).rgb];
  assert.ok(new Set(expected).size > 100, 'the picture has something in it');
  const off = found.filter((value, index) => Math.abs(value - expected[index]) > 2).length;
  assert.ok(off <= found.length / 1000, `${off} of ${found.length} values are off by more than two levels`);
});
