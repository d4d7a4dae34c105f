// Running on the server and the account there, against an edge that is only played.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './support/chromium.mjs';
import { Edge, PARAMETERS, PICTURE, PREVIEW, problem, stream } from './support/edge.mjs';
import { pageUrl } from './support/environment.mjs';
import { readPng, solidPng } from './support/png.mjs';
import { Visitor } from './support/visitor.mjs';

const DRAWING = { prompt: 'a red apple on a blue background', steps: 4, seed: 7 };
const KEY = `sk_live_0000${'x'.repeat(28)}`;
const STEP = { phase: 'denoising', step: 2, of: 4, seconds_per_step: 0.5, eta_seconds: 1 };

let browser;
before(async () => {
  browser = await launch({ webgpu: false });
});
after(() => browser?.close());

test('on a host of files there is no server to run on', async () => {
  const visitor = await Visitor.open(browser, pageUrl);
  await visitor.is('ready');
  const buttons = await visitor.page.getByRole('button').allInnerTexts();
  assert.ok(buttons.includes('Run here'));
  assert.deepEqual(buttons.filter((text) => /server|account/i.test(text)), []);
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test('one click makes an account, and the browser keeps its key', async () => {
  const { visitor, page, edge } = await opened();
  await visitor.ask(DRAWING);
  assert.equal(await page.innerText('#cost-server'), 'needs an account');
  await runOnServer(page);
  await page.getByRole('button', { name: 'Make an account' }).click();
  await page.waitForSelector('#fresh-key');
  const key = await page.inputValue('#fresh-key');
  assert.equal(key, edge.keys[0].key);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'fresh-key');
  assert.equal(await stored(page), key);
  const dialog = page.getByRole('dialog', { name: 'Account on this server' });
  const text = await dialog.innerText();
  assert.match(text, /keeps your key sk_live_0001… in its local storage/);
  assert.match(text, /Credits\s*20/);
  assert.match(text, /Used by this page/);

  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  await page.reload();
  await page.getByRole('button', { name: 'Account, 20 credits' }).click();
  await page.getByText('Usage').waitFor();
  assert.equal(await page.locator('#fresh-key').count(), 0, 'a key is shown once');
  assert.ok(!(await page.content()).includes(key));
  await assertWell(visitor);
});

test('a run on the server develops on the stage and lands in the gallery', async () => {
  const { visitor, page, edge } = await opened({ key: KEY });
  // The first connection breaks after a preview; the second one goes on.
  const picture = edge.picture();
  const done = edge.job({ status: 'succeeded', position: null, eta_seconds: null, pictures: [picture] });
  edge.streams = [
    stream([
      ['progress', STEP],
      ['preview', edge.preview()],
    ]),
    stream(
      [
        ['image', { index: 0, picture }],
        ['done', done],
      ],
      2,
    ),
  ];
  const release = edge.hold('GET /pictures/acc_1/job_1/1/0.png');
  await visitor.ask(DRAWING);
  await page.waitForFunction(() => document.querySelector('#cost-server')?.textContent === '1 credit · about 2 s');
  assert.equal(await page.innerText('#cost-here'), 'free');
  await runOnServer(page);
  await visitor.is('running');
  await page.waitForFunction(isDrawn, PREVIEW);
  assert.match(await page.innerText('.progress-line'), /Developing[^]*step 2 of 4[^]*on the server/);
  release();
  await visitor.has(1);
  await page.waitForFunction(isDrawn, PICTURE);
  await page.waitForSelector('.caption');
  assert.match(await page.innerText('.caption'), /Seed 7, server/);
  assert.match(await page.innerText('.print'), /Seed 7, server/);
  assert.equal(await page.getAttribute('.print-title', 'title'), PARAMETERS);
  assert.deepEqual((await visitor.save()).bytes, edge.file());

  const [asked] = edge.asked('POST /v1/images');
  const { prompt, steps, seed } = DRAWING;
  const guidance = Number(await page.inputValue('#guidance'));
  assert.deepEqual(asked.body, {
    ...{ task: 'generate', model: 'demo', prompt, width: 64, height: 64, steps, guidance, guidance_rescale: 0, seed },
    ...{ noise: 'philox', clip_skip: 1, samples: 1 },
  });
  assert.equal(asked.headers.authorization, `Bearer ${KEY}`);
  assert.match(asked.headers['idempotency-key'], /^[0-9a-f]{32}$/);
  const connections = edge.asked('GET /v1/jobs/job_1/events');
  assert.deepEqual(connections.map(({ headers }) => headers['last-event-id']), [undefined, '2']);
  await assertWell(visitor);
});

test('after a run here it is known what another takes', async () => {
  const { visitor, page } = await opened({ key: KEY });
  assert.equal(await page.innerText('#cost-here'), 'free');
  await visitor.draw({ ...DRAWING, steps: 2 });
  assert.match(await page.innerText('#cost-here'), /^free · (about \d+|under 1) s$/);
  await assertWell(visitor);
});

test('a start picture travels with the request, at the size of the run', async () => {
  const { visitor, page, edge } = await opened({ key: KEY });
  const picture = edge.picture();
  edge.streams = [stream([['done', edge.job({ status: 'succeeded', pictures: [picture] })]])];
  const colour = [10, 120, 230];
  await visitor.ask(DRAWING);
  await page.setInputFiles('#start', { name: 'start.png', mimeType: 'image/png', buffer: solidPng(100, 90, colour) });
  await page.fill('#strength', '0.5');
  await runOnServer(page);
  // Also without events of its own, a picture of the finished job is taken.
  await visitor.has(1);
  const [{ body }] = edge.asked('POST /v1/images');
  assert.deepEqual([body.task, body.strength], ['edit', 0.5]);
  const { width, height, rgb } = readPng(Buffer.from(body.image.base64, 'base64'));
  assert.deepEqual([width, height, ...rgb.subarray(0, 3)], [64, 64, ...colour]);
  await assertWell(visitor);
});

test('what the server refuses is said, and so is a run that fails', async () => {
  const { visitor, page, edge } = await opened({ key: KEY });
  await visitor.ask(DRAWING);
  edge.answers.set('POST /v1/images', () =>
    problem(422, 'invalid_request', '2 fields cannot be used; see errors', [
      { pointer: '/steps', detail: 'steps is 4, but must be at least 8' },
      { pointer: '/prompt', detail: 'prompt is not allowed here' },
    ]),
  );
  await runOnServer(page);
  await visitor.reads(/^Steps is 4, but must be at least 8; prompt is not allowed here\.$/);
  await idle(page);

  edge.answers.clear();
  const error = { code: 'failed', detail: 'three nodes could not do it' };
  edge.streams = [stream([['error', error], ['done', edge.job({ status: 'failed', error })]])];
  await runOnServer(page);
  await visitor.reads(/^Three nodes could not do it\.$/);
  await idle(page);
  assert.equal(await page.locator('.print').count(), 0);
  await visitor.leave();
});

test('cancel takes the job back', async () => {
  const { visitor, page, edge } = await opened({ key: KEY });
  const release = edge.hold('GET /v1/jobs/job_1/events');
  edge.streams = [stream([])];
  await visitor.ask(DRAWING);
  await runOnServer(page);
  await page.getByText('2 jobs before this one').first().waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await idle(page);
  assert.equal(edge.asked('POST /v1/jobs/job_1/cancel').length, 1);
  release();

  // Before the server has answered there is no job to cancel yet; it is cancelled as soon as there is.
  const accept = edge.hold('POST /v1/images');
  await runOnServer(page);
  await visitor.is('running');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Stop at once' }).click();
  await idle(page);
  accept();
  await until(() => edge.asked('POST /v1/jobs/job_1/cancel').length === 2);
  assert.equal(await page.locator('.print').count(), 0);
  await assertWell(visitor);
});

test('keys are made, replaced and deleted, and the account goes with its last', async () => {
  const { visitor, page, edge } = await opened({ key: KEY });
  // A price that is asked for right when a key stops working would be refused, rightly.
  const isPriced = () => document.querySelector('#cost-server')?.textContent.includes('credit');
  await page.waitForFunction(isPriced);
  await page.getByRole('button', { name: /^Account/ }).click();
  await page.getByText('Make another key').click();
  await page.fill('#key-name', 'my page');
  await page.selectOption('#key-kind', 'publishable');
  await page.fill('#key-origin', 'https://example.com');
  await page.getByRole('button', { name: 'Make the key' }).click();
  await page.waitForSelector('#fresh-key');
  assert.match(await page.inputValue('#fresh-key'), /^pk_live_/);
  assert.equal(await stored(page), KEY, 'a key for elsewhere is not used here');
  await page.getByText('For pages of https://example.com').waitFor();

  await page.getByRole('button', { name: 'Replace sk_live_0000…' }).click();
  await page.getByRole('button', { name: 'Replace', exact: true }).click();
  await page.waitForFunction((old) => localStorage.getItem('darkroom-key') !== old, KEY);
  assert.equal(await stored(page), edge.keys[0].key);
  await page.waitForFunction(isPriced);

  await page.getByRole('button', { name: /^Delete pk_live/ }).click();
  await page.getByRole('button', { name: 'Delete the key' }).click();
  await until(() => edge.keys.length === 1);
  await page.getByText('The key is deleted').waitFor();
  // The button that had the focus is gone.
  await page.waitForFunction(() => document.activeElement.id === 'account-title');

  await page.getByRole('button', { name: 'Delete the account…' }).click();
  await page.getByRole('button', { name: 'Delete the account', exact: true }).click();
  await page.getByRole('button', { name: 'Make an account' }).waitFor();
  assert.deepEqual([await stored(page), edge.asked('DELETE /v1/account').length], [null, 1]);
  await assertWell(visitor);
});

test('a key that does not work says so and is not kept', async () => {
  const { visitor, page } = await opened();
  await page.getByRole('button', { name: 'Account' }).click();
  await page.fill('#account-key', 'sk_live_wrong');
  await page.getByRole('button', { name: 'Use this key' }).click();
  await page.getByText('This key is not known here').waitFor();
  assert.equal(await stored(page), null);
  await visitor.leave();
});

for (const colorScheme of ['light', 'dark']) {
  test(`at 360 pixels the buttons and the account fit, ${colorScheme}`, async () => {
    const { visitor, page } = await opened({ key: KEY }, { viewport: { width: 360, height: 740 }, colorScheme });
    await assertFits(page, 'html');
    await page.getByRole('button', { name: /^Account/ }).click();
    await page.getByText('Make another key').click();
    await page.getByText('Plan').waitFor();
    await assertFits(page, 'html');
    await assertFits(page, 'dialog.account');
    const nameless = (await page.locator('dialog.account').ariaSnapshot())
      .split('\n')
      .filter((line) => /- (button|textbox|combobox|link)(:|$| \[)/.test(line));
    assert.deepEqual(nameless, []);
    await assertWell(visitor);
  });
}

/** A visitor of a page with an edge behind it, and perhaps a key that the browser kept. */
async function opened({ key } = {}, options = {}) {
  let edge;
  const prepare = async (page) => {
    edge = await Edge.behind(page, { key });
  };
  const visitor = await Visitor.open(browser, pageUrl, { prepare, ...options });
  await visitor.is('ready');
  return { visitor, page: visitor.page, edge };
}

function runOnServer(page) {
  return page.getByRole('button', { name: 'Run on server' }).click();
}

function idle(page) {
  return page.waitForSelector('html:not([data-state=running])', { state: 'attached' });
}

function stored(page) {
  return page.evaluate(() => localStorage.getItem('darkroom-key'));
}

/** Runs in the page: whether the middle of the plate has this colour. */
function isDrawn(colour) {
  // Through a canvas of its own: reading the plate itself again and again is a warning of the browser.
  const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  context.drawImage(document.querySelector('.tray canvas'), 0, 0, 1, 1);
  const { data } = context.getImageData(0, 0, 1, 1);
  return colour.every((value, channel) => Math.abs(value - data[channel]) < 8);
}

async function assertFits(page, selector) {
  const [content, room] = await page.$eval(selector, (element) => [element.scrollWidth, element.clientWidth]);
  assert.ok(content <= room, `${selector}: ${content} pixels of content in ${room}`);
}

/** Nothing went wrong unseen, and nothing broke the page's policy. */
async function assertWell(visitor) {
  const { breaches } = await visitor.seen();
  assert.deepEqual([visitor.complaints, breaches], [[], []]);
  await visitor.leave();
}

async function until(isSo) {
  const deadline = Date.now() + 30_000;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error('what was waited for did not happen');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
