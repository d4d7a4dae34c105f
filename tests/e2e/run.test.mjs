// Stopping, interrupting and steering a run.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './support/chromium.mjs';
import { pageUrl } from './support/environment.mjs';
import { readPng } from './support/png.mjs';
import { Visitor } from './support/visitor.mjs';

const PROMPT = 'a red apple on a blue background';
/** A run that ends only when it is stopped. */
const ENDLESS = { prompt: PROMPT, steps: 1000, seed: 1 };

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

test('cancel answers within a step, and the next run goes on', async () => {
  const visitor = await Visitor.open(browser, pageUrl);
  const { page } = visitor;
  await visitor.is('ready');
  await visitor.ask(ENDLESS);
  await visitor.run();
  await visitor.hears(({ progress }) => progress?.step >= 3);
  const heard = await page.evaluate(() => {
    [...document.querySelectorAll('button')].find(({ textContent }) => textContent === 'Cancel').click();
    return window.seen.events.length;
  });
  await visitor.is('ready');
  const { events } = await visitor.seen();
  const later = events.slice(heard);
  const steps = new Set(later.filter(({ type }) => type === 'progress').map(({ progress }) => progress.step));
  // One that was on its way to the page, and the one that was being computed.
  assert.ok(steps.size <= 2, `${steps.size} more steps`);
  assert.equal(later.find(({ type }) => type === 'done')?.cancelled, true);
  assert.equal(await page.locator('.print').count(), 0);

  await visitor.draw({ prompt: PROMPT, steps: 2, seed: 1 });
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test('the keyboard alone is enough', async () => {
  const visitor = await Visitor.open(browser, pageUrl);
  const { page } = visitor;
  await visitor.is('ready');
  await tabTo(page, '#prompt');
  await page.keyboard.type(PROMPT);
  await tabTo(page, '#steps');
  await page.keyboard.press('Control+a');
  await page.keyboard.type('1000');
  await page.keyboard.press('Control+Enter');
  await visitor.is('running');
  await visitor.hears(({ progress }) => progress?.step >= 1);
  await page.keyboard.press('Escape');
  await visitor.is('ready');
  assert.equal(await page.locator('.print').count(), 0);

  await page.keyboard.press('Control+a');
  await page.keyboard.type('2');
  await page.keyboard.press('Control+Enter');
  await visitor.has(1);
  await visitor.is('ready');
  await tabTo(page, '.caption a');
  const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
  assert.match(download.suggestedFilename(), /^darkroom-\d+\.png$/);
  await visitor.leave();
});

test('a reload in the middle of a run leaves a page that draws', async () => {
  const visitor = await Visitor.open(browser, pageUrl);
  await visitor.is('ready');
  await visitor.draw({ prompt: PROMPT, steps: 2, seed: 1 });
  await visitor.ask(ENDLESS);
  await visitor.run();
  await visitor.hears(({ progress }) => progress?.step >= 2 && progress.of === 1000);
  await visitor.page.reload();
  await visitor.is('ready');
  await visitor.has(1);
  await visitor.draw({ prompt: PROMPT, steps: 2, seed: 2 });
  await visitor.has(2);
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test('a picture is painted over, and several are made at once', async () => {
  const visitor = await Visitor.open(browser, pageUrl);
  const { page } = visitor;
  await visitor.is('ready');
  const first = await visitor.draw({ prompt: PROMPT, steps: 4, seed: 1 });
  await page.setInputFiles('#start', { name: 'first.png', mimeType: 'image/png', buffer: first.bytes });
  await page.waitForSelector('.start-picture');
  await page.fill('#strength', '0.5');
  const second = await visitor.draw({ prompt: PROMPT, steps: 4, seed: 8, pictures: 2 });
  await visitor.has(3);
  const { parameters } = readPng(second.bytes).texts;
  assert.match(parameters, /Denoising strength: 0\.5/);
  assert.match(parameters, /Seed: [89],/);
  await visitor.leave();
});

for (const way of ['paste', 'drop']) {
  test(`a picture to start from can come by ${way}`, async () => {
    const visitor = await Visitor.open(browser, pageUrl);
    const { page } = visitor;
    await visitor.is('ready');
    const { bytes } = await visitor.draw({ prompt: PROMPT, steps: 2, seed: 1 });
    await page.evaluate(hand, { way, base64: bytes.toString('base64') });
    assert.match(await page.locator('.start-picture').innerText(), /mine\.png/);
    await page.getByRole('button', { name: 'Remove' }).click();
    assert.equal(await page.locator('.start-picture').count(), 0);

    await page.evaluate(hand, { way, base64: btoa('this is no picture') });
    await page.waitForSelector('#start[aria-invalid=true]');
    await visitor.leave();
  });
}

/** Runs in the page: what the browser dispatches when a file is pasted or dropped. */
function hand({ way, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], 'mine.png', { type: 'image/png' }));
  const options = { bubbles: true, cancelable: true };
  const event =
    way === 'paste'
      ? new ClipboardEvent('paste', { ...options, clipboardData: transfer })
      : new DragEvent('drop', { ...options, dataTransfer: transfer });
  document.body.dispatchEvent(event);
}

/** Presses Tab until the focus is where `selector` says. */
async function tabTo(page, selector) {
  for (let presses = 0; presses < 60; presses += 1) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`Tab does not reach ${selector}`);
}
