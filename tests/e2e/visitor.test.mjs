// What a new visitor does, and finds again on the next visit.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './support/chromium.mjs';
import { pageUrl } from './support/environment.mjs';
import { judge } from './support/native.mjs';
import { readPng } from './support/png.mjs';
import { Proxy, isModel } from './support/proxy.mjs';
import { reportBreaches } from './support/sabotage.mjs';
import { Visitor } from './support/visitor.mjs';

const EXAMPLE = /^an? (?:\w+ )*?(?<object>\w+) on an? (?<colour>\w+) background$/;

let browser;
let proxy;
before(async () => {
  [browser, proxy] = await Promise.all([launch(), Proxy.start(pageUrl)]);
});
after(() => Promise.all([browser?.close(), proxy?.stop()]));

test('a new visitor clicks an example and watches it develop into a picture', async () => {
  proxy.runInWorker(reportBreaches);
  const visitor = await Visitor.open(browser, proxy.url);
  const { page } = visitor;
  await visitor.is('ready');
  assert.ok(await page.evaluate(() => crossOriginIsolated), 'the page is not isolated');

  const examples = await page.locator('.chip').allInnerTexts();
  const example = examples.find((text) => EXAMPLE.test(text));
  await page.locator('.chip', { hasText: example }).first().click();
  assert.equal(await page.inputValue('#prompt'), example);
  // A seed of its own choice would make the verdict below a matter of luck.
  await visitor.ask({ seed: 1 });
  await visitor.run();
  await visitor.has(1);
  await visitor.is('ready');

  const { events, breaches } = await visitor.seen();
  const steps = Number(await page.inputValue('#steps'));
  assertDevelops(events, steps);
  assert.equal(await page.evaluate(() => performance.getEntriesByName('first-picture').length), 1);

  const seed = await page.inputValue('#seed');
  const saved = await visitor.save();
  assert.equal(saved.name, `darkroom-${seed}.png`);
  const { parameters } = readPng(saved.bytes).texts;
  assert.ok(parameters.startsWith(example), parameters);
  assert.match(parameters, new RegExp(`Steps: ${steps},.*Seed: ${seed},`));

  const verdict = await judge(saved.path);
  const { object, colour } = EXAMPLE.exec(example).groups;
  assert.deepEqual([verdict.object, verdict.colour], [object, colour]);

  assert.deepEqual(breaches, []);
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test('pictures and the model outlive a reload', async () => {
  const visitor = await Visitor.open(browser, proxy.url);
  await visitor.is('ready');
  assert.ok(proxy.requests.some(isModel), 'the first visit fetches the model');
  await visitor.draw({ prompt: 'a red apple on a blue background', steps: 2, seed: 5 });
  await visitor.page.waitForFunction(() => !document.querySelector('.print').textContent.includes('not stored'));

  proxy.forget();
  await visitor.page.reload();
  await visitor.is('ready');
  await visitor.has(1);
  assert.deepEqual(proxy.requests.filter(isModel), []);
  assert.equal(await visitor.page.getAttribute('html', 'data-fetched-bytes'), '0');
  const again = await visitor.draw({ prompt: 'a red apple on a blue background', steps: 2, seed: 5 });
  assert.ok(readPng(again.bytes).texts.parameters.includes('Seed: 5'));
  await visitor.leave();
});

test('words that the model does not know are pointed out', async () => {
  const visitor = await Visitor.open(browser, proxy.url);
  await visitor.is('ready');
  await visitor.ask({ prompt: 'a red apple and a Xylograph' });
  assert.match(await visitor.page.innerText('.unknown-words'), /does not know: .*xylograph$/);
  await visitor.leave();
});

/** Phases come in order, every step is reported once, and every step shows what the picture looks like. */
function assertDevelops(events, steps) {
  const progress = events.filter(({ type }) => type === 'progress').map((event) => event.progress);
  const phases = [...new Set(progress.map(({ phase }) => phase))].filter((phase) => phase !== 'loading');
  assert.deepEqual(phases, ['text', 'denoising', 'decoding']);
  const denoising = progress.filter(({ phase, step }) => phase === 'denoising' && step > 0);
  assert.deepEqual([...new Set(denoising.map(({ step }) => step))], Array.from({ length: steps }, (_, k) => k + 1));
  assert.ok(denoising.every(({ of }) => of === steps));
  assert.ok(denoising.at(-1).seconds_per_step > 0);
  const previews = events.filter(({ type }) => type === 'preview');
  assert.ok(previews.length >= steps - 1, `${previews.length} previews in ${steps} steps`);
  assert.ok(previews.every(({ info, carried }) => carried === info.width * info.height * 4));
}
