// The page that the edge itself serves: the same prompt here and on the server is the same picture.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertSamePicture } from '../e2e/support/agreement.mjs';
import { launch } from '../e2e/support/chromium.mjs';
import { readPng } from '../e2e/support/png.mjs';
import { Visitor } from '../e2e/support/visitor.mjs';
import { Stack } from './support/stack.mjs';

const DRAWING = { prompt: 'a red apple on a blue background', steps: 6, seed: 11 };

let stack;
let browser;
before(async () => {
  stack = await Stack.start({ node: 'real' });
  browser = await launch({ webgpu: false });
});
after(async () => {
  await browser?.close();
  await stack?.stop();
});

test('the same prompt and seed give the same picture here and on the server', async () => {
  const { key } = await stack.signUp();
  const visitor = await Visitor.open(browser, `${stack.url}/`, {
    prepare: (page) => page.addInitScript((text) => localStorage.setItem('darkroom-key', text), key),
  });
  const { page } = visitor;
  await visitor.is('ready');
  const here = await visitor.draw(DRAWING);

  await page.waitForFunction(() => /^1 credit · /.test(document.querySelector('#cost-server')?.textContent ?? ''));
  assert.match(await page.innerText('#cost-here'), /^free/);
  await page.getByRole('button', { name: 'Run on server' }).click();
  await visitor.has(2);
  const there = await visitor.save();
  assertSamePicture(readPng(there.bytes), readPng(here.bytes), 'browser and node');
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test('the page that explains the API is served with its document', async () => {
  const visitor = await Visitor.open(browser, `${stack.url}/docs`);
  await visitor.page.getByText('/v1/images', { exact: false }).first().waitFor();
  assert.deepEqual(visitor.complaints, []);
  const document = await (await fetch(`${stack.url}/openapi.json`)).json();
  assert.equal(document.openapi, '3.1.0');
  assert.ok(document.paths['/v1/images'].post);
  await visitor.leave();
});
