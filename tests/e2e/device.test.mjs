// The devices: both draw the same picture, and a GPU that fails costs the visitor nothing but time.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { assertSamePicture } from './support/agreement.mjs';
import { launch } from './support/chromium.mjs';
import { pageUrl } from './support/environment.mjs';
import { generate } from './support/native.mjs';
import { readPng } from './support/png.mjs';
import { Proxy } from './support/proxy.mjs';
import { loseDeviceInRun, refuseDevice, refuseLargeBuffers, removeWebGpu } from './support/sabotage.mjs';
import { Visitor } from './support/visitor.mjs';

const DRAWING = { prompt: 'a red apple on a blue background', steps: 2, seed: 1234 };

let browser;
let proxy;
before(async () => {
  [browser, proxy] = await Promise.all([launch(), Proxy.start(pageUrl)]);
});
beforeEach(() => proxy.heal());
after(() => Promise.all([browser?.close(), proxy?.stop()]));

test('the CPU draws what the native program draws', async () => {
  assertSamePicture(await drawn('?device=cpu', 'cpu'), await native(), 'CPU against darkroom generate');
});

test('the GPU draws what the native program draws', async () => {
  assertSamePicture(await drawn('?device=webgpu', 'webgpu'), await native(), 'WebGPU against darkroom generate');
});

test('a software adapter is not chosen unless the visitor says so', async () => {
  const visitor = await Visitor.open(browser, proxy.url);
  await visitor.is('ready', 'cpu');
  assert.match(await visitor.page.innerText('#device-reason'), /Uses the CPU.*software/);
  await visitor.page.selectOption('#device', 'webgpu');
  await visitor.is('ready', 'webgpu');
  assert.match(await visitor.page.innerText('#device-reason'), /Uses the GPU.*You chose it/);
  await visitor.leave();
});

test('without WebGPU the CPU draws', async () => {
  proxy.runInWorker(removeWebGpu);
  const visitor = await Visitor.open(browser, proxy.url);
  await visitor.is('ready', 'cpu');
  assert.match(await visitor.page.innerText('#device-reason'), /no WebGPU adapter/);
  await visitor.draw(DRAWING);
  await visitor.leave();
});

test('a GPU that is wanted but not there is replaced by the CPU', async () => {
  proxy.runInWorker(removeWebGpu);
  const visitor = await Visitor.open(browser, proxy.url, { query: '?device=webgpu' });
  await visitor.is('ready', 'cpu');
  assert.match(await visitor.notice(), /no WebGPU adapter.*goes on with the CPU/s);
  await visitor.draw(DRAWING);
  await visitor.leave();
});

test('a GPU that cannot be opened is replaced by the CPU', async () => {
  proxy.runInWorker(refuseDevice);
  const visitor = await Visitor.open(browser, proxy.url, { query: '?device=webgpu' });
  await visitor.is('ready', 'cpu');
  assert.match(await visitor.notice(), /goes on with the CPU/);
  await visitor.draw(DRAWING);
  await visitor.leave();
});

test('a GPU that is lost in the middle of a run is replaced, and the picture is made', async () => {
  proxy.runInWorker(loseDeviceInRun);
  const visitor = await Visitor.open(browser, proxy.url, { query: '?device=webgpu' });
  await visitor.is('ready', 'webgpu');
  const picture = readPng((await visitor.draw({ ...DRAWING, steps: 4 })).bytes);
  assert.equal(await visitor.device(), 'cpu');
  assert.match((await visitor.seen()).notices.join(' '), /goes on with the CPU and makes your picture again/);
  assert.match(picture.texts.parameters, /Seed: 1234,/);
  await visitor.leave();
});

test('a GPU without memory is replaced by the CPU', async () => {
  proxy.runInWorker(refuseLargeBuffers, 100_000);
  const visitor = await Visitor.open(browser, proxy.url, { query: '?device=webgpu' });
  await visitor.is('ready', 'cpu');
  const notice = await visitor.notice();
  assert.match(notice, /goes on with the CPU/);
  assert.doesNotMatch(notice, /panicked|unwrap|\.rs:|\.wasm/, 'words, and no stack');
  await visitor.draw(DRAWING);
  await visitor.leave();
});

async function drawn(query, device) {
  const visitor = await Visitor.open(browser, proxy.url, { query });
  await visitor.is('ready', device);
  const { bytes } = await visitor.draw(DRAWING);
  assert.equal(await visitor.device(), device);
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
  return readPng(bytes);
}

let expected;
async function native() {
  expected ??= readPng((await generate(DRAWING)).bytes);
  return expected;
}
