// The Models view: models that are added, fetched, paused, verified and deleted, and what is told of them before that.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';
import { launch } from './support/chromium.mjs';
import { pageUrl } from './support/environment.mjs';
import { Hub, manifestOf, sha256 } from './support/hub.mjs';
import { demoModel } from './support/native.mjs';
import { Proxy, isModel } from './support/proxy.mjs';
import { failProbe } from './support/sabotage.mjs';
import { Shelf } from './support/shelf.mjs';
import { Visitor } from './support/visitor.mjs';

const RANGES = 5;
const DRAWING = { prompt: 'a red apple on a blue background', steps: 2, seed: 7 };
/** What a header may take of a model's file before anyone asked to download it. */
const HEADER = 'bytes=0-262143';

let browser;
let proxy;
let hub;
/** The demo model under another name, so that its card is told from the page's own. */
let moon;
before(async () => {
  [browser, proxy, hub] = await Promise.all([launch({ webgpu: false }), Proxy.start(pageUrl), Hub.start()]);
  moon = named(await readFile(await demoModel()), 'moon');
});
beforeEach(() => {
  proxy.heal();
  proxy.forget();
  hub.heal();
  hub.forget();
});
after(() => Promise.all([browser?.close(), proxy?.stop(), hub?.stop()]));

test('what a picture will take is told before any weights are fetched', async () => {
  const url = hub.serveModel('moon', moon);
  const shelf = await Shelf.open(browser, proxy.url);
  const card = await shelf.add(url, 'moon');
  await shelf.says(card, /A picture of 64 × 64 in 20 steps will take .* on the CPU/);
  await shelf.says(card, /takes about [\d.]+ MB of memory, which this device can hold/);
  assert.match(await card.innerText(), /Darkroom demo, 9\.7 MB, moon\.gguf/);
  assert.match(await card.innerText(), /Not stored/);
  assert.deepEqual([...new Set(hub.ranges())], [HEADER]);
  const measured = await shelf.page.getByRole('region', { name: 'This device' }).innerText();
  assert.match(measured, /CPU\s+[\d.]+ GFLOP\/s\s+GPU\s+none that this browser offers/);
  assert.deepEqual(shelf.visitor.complaints, []);

  // What was measured and added is remembered.
  await shelf.page.reload();
  await shelf.says(card, /A picture of 64 × 64/);
  await shelf.leave();
});

test('a software adapter is measured too, and left alone', async () => {
  const withGpu = await launch();
  const shelf = await Shelf.open(withGpu, proxy.url);
  await shelf.page.getByRole('button', { name: 'Measure this device (5 s)' }).click();
  const device = shelf.page.getByRole('region', { name: 'This device' });
  await device.filter({ hasText: /GPU \(software\)\s*[\d.]+ GFLOP\/s/ }).waitFor();
  assert.match(await device.innerText(), /Largest buffer of the GPU\s+[\d.]+ GB/);
  const card = shelf.card('demo');
  await shelf.says(card, /on the CPU/);
  await shelf.says(card, /The only GPU here is software, so the CPU does the work/);
  assert.match(await card.innerText(), /In use/);
  await shelf.leave();
  await withGpu.close();
});

test('a device that cannot be measured keeps nobody from a model', async () => {
  proxy.runInWorker(failProbe);
  const url = hub.serveModel('moon', moon);
  const shelf = await Shelf.open(browser, proxy.url);
  await shelf.ask(url);
  await shelf.page.getByText(/This device could not be measured/).waitFor();
  const card = shelf.card('moon');
  await shelf.press(card, 'Download');
  await shelf.says(card, /All of it is stored/);
  await shelf.leave();
});

test('a model is added by the address of its manifest or of its file, fetched, and draws', async () => {
  const url = hub.serveModel('moon', moon);
  const shelf = await Shelf.open(browser, proxy.url);
  const card = await shelf.add(url.replace('.manifest.json', ''), 'moon');
  hub.forget();
  await shelf.press(card, 'Download');
  await shelf.says(card, /Stored/);
  assert.equal(hub.ranges().length, RANGES);
  await shelf.says(card, /All of it is stored in this browser, and verified/);
  const parts = await card.locator('.part').allInnerTexts();
  assert.deepEqual(parts.map((part) => part.split('\n')[0]), ['Text encoder', 'Denoiser', 'Preview decoder', 'Autoencoder']);

  await shelf.press(card, 'Use moon');
  await shelf.visitor.is('ready');
  await shelf.page.getByText('model moon').first().waitFor();
  await shelf.visitor.draw(DRAWING);
  // The choice outlives the visit, and needs no server.
  hub.forget();
  await shelf.page.reload();
  await shelf.visitor.is('ready');
  await shelf.page.getByText('model moon').first().waitFor();
  assert.deepEqual(hub.ranges(), []);
  await shelf.show();
  assert.match(await card.innerText(), /In use/);
  assert.deepEqual(shelf.visitor.complaints, []);
  await shelf.leave();
});

test('a model is added by its name on the Hub, with a manifest or with the hash that the Hub states', async () => {
  const star = named(moon, 'star');
  const manifest = Buffer.from(JSON.stringify(manifestOf('moon.gguf', moon, RANGES)));
  hub.list('someone/pictures', { 'README.md': Buffer.from('#'), 'moon.gguf': moon, 'moon.gguf.manifest.json': manifest, 'star.gguf': star });
  const shelf = await Shelf.open(browser, `${proxy.url}?hub=${hub.url}`);
  await shelf.ask('someone/pictures');
  await shelf.page.getByRole('button', { name: 'moon.gguf, 9.7 MB' }).click();
  const card = shelf.card('moon');
  await shelf.says(card, /A picture of/);

  // The address of the page about the file stands for it.
  await shelf.ask(`${hub.url}/someone/pictures/blob/main/star.gguf`);
  const other = shelf.card('star');
  await shelf.says(other, /A picture of/);
  for (const one of [card, other]) {
    await shelf.press(one, 'Download');
    await shelf.says(one, /All of it is stored/);
  }
  const files = await shelf.stored();
  assert.equal(files[sha256(moon)], moon.length);
  assert.equal(files[sha256(star)], star.length);
  // From then on it has hashes of its ranges.
  await shelf.press(other, 'Verify star');
  await shelf.says(other, /The one range that is stored is as it should be/);
  await shelf.press(other, 'Use star');
  await shelf.visitor.is('ready');
  await shelf.visitor.draw(DRAWING);
  await shelf.leave();
});

test('a file whose hash is not what the Hub states is not used', async () => {
  hub.list('someone/broken', { 'moon.gguf': moon });
  const broken = Buffer.from(moon);
  broken[broken.length - 1] ^= 1;
  hub.serve('/someone/broken/resolve/main/moon.gguf', broken);
  const shelf = await Shelf.open(browser, `${proxy.url}?hub=${hub.url}`);
  const card = await shelf.add('someone/broken', 'moon');
  await shelf.press(card, 'Download');
  await shelf.says(card, /its SHA-256 is not the one that the Hub states/);
  await shelf.says(card, /Not stored/);
  assert.equal(await card.getByRole('button', { name: 'Use moon' }).count(), 0);
  await shelf.leave();
});

test('a download is paused and resumed, and nothing is asked for twice', async () => {
  const url = hub.serveModel('moon', moon);
  const shelf = await Shelf.open(browser, proxy.url);
  const card = await shelf.add(url, 'moon');
  hub.forget();
  const release = holdThird();
  await shelf.press(card, 'Download');
  await shelf.says(card, /Downloading\s*3\.9 MB of 9\.7 MB/);
  while (hub.ranges().length < 3) await shelf.page.waitForTimeout(50);
  await shelf.press(card, 'Pause');
  await shelf.says(card, /Paused\s*3\.9 MB of 9\.7 MB/);
  release();
  const before = hub.ranges();
  assert.equal(before.length, 3);
  const [, denoiser] = await card.locator('.part progress').evaluateAll((bars) => bars.map(({ value }) => value));
  assert.ok(denoiser > 0 && denoiser < 1, `the denoiser's part is at ${denoiser}`);

  // A pause outlives a reload.
  await shelf.page.reload();
  await shelf.visitor.is('ready');
  await shelf.says(card, /Paused/);
  hub.forget();
  await shelf.press(card, 'Resume');
  await shelf.says(card, /All of it is stored/);
  const later = hub.ranges();
  assert.equal(later.length, RANGES - 2);
  assert.deepEqual(later.filter((range) => before.slice(0, 2).includes(range)), []);
  await shelf.leave();
});

test('a reload in the middle of a download goes on from there, in whatever view', async () => {
  const url = hub.serveModel('moon', moon);
  const shelf = await Shelf.open(browser, proxy.url);
  const card = await shelf.add(url, 'moon');
  hub.forget();
  const release = holdThird();
  await shelf.press(card, 'Download');
  await shelf.says(card, /3\.9 MB of 9\.7 MB/);
  // The one that is held has been asked for, and is not counted below.
  while (hub.ranges().length < 3) await shelf.page.waitForTimeout(50);
  hub.forget();
  hub.heal();
  await shelf.page.goto(proxy.url);
  release();
  await shelf.visitor.is('ready');
  while (hub.ranges().length < RANGES - 2) await shelf.page.waitForTimeout(50);
  await shelf.show();
  await shelf.says(card, /Stored/);
  assert.equal(hub.ranges().length, RANGES - 2);
  await shelf.leave();
});

test('pictures are made while another model is fetched', async () => {
  const url = hub.serveModel('moon', moon);
  const shelf = await Shelf.open(browser, proxy.url);
  const card = await shelf.add(url, 'moon');
  const release = holdThird();
  await shelf.press(card, 'Download');
  await shelf.says(card, /3\.9 MB of 9\.7 MB/);
  await shelf.page.getByRole('link', { name: 'Pictures', exact: true }).click();
  await shelf.visitor.draw(DRAWING);
  release();
  await shelf.visitor.draw({ ...DRAWING, seed: 8 });
  await shelf.show();
  await shelf.says(card, /All of it is stored/);
  assert.deepEqual(shelf.visitor.complaints, []);
  await shelf.leave();
});

test('verifying finds a damaged range, and only that is fetched again', async () => {
  const url = hub.serveModel('moon', moon);
  const shelf = await Shelf.open(browser, proxy.url);
  const card = await shelf.add(url, 'moon');
  await shelf.press(card, 'Download');
  await shelf.says(card, /All of it is stored/);
  await shelf.press(card, 'Verify moon');
  await shelf.says(card, /All 5 stored ranges are as they should be/);

  const size = Math.ceil(moon.length / RANGES);
  await shelf.damage(sha256(moon), 3 * size + 10);
  await shelf.press(card, 'Verify moon');
  await shelf.says(card, /1 of 5 stored ranges is damaged/);
  await shelf.says(card, /Paused\s*7\.8 MB of 9\.7 MB/);
  hub.forget();
  await shelf.press(card, 'Resume');
  await shelf.says(card, /All of it is stored/);
  assert.deepEqual(hub.ranges(), [`bytes=${3 * size}-${4 * size - 1}`]);
  await shelf.leave();
});

test('deleting frees the storage, also of what an earlier visit stored', async () => {
  const url = hub.serveModel('moon', moon);
  const shelf = await Shelf.open(browser, proxy.url);
  const card = await shelf.add(url, 'moon');
  await shelf.press(card, 'Download');
  await shelf.says(card, /All of it is stored/);
  const hash = sha256(moon);
  assert.equal((await shelf.stored())[hash], moon.length);

  await shelf.page.reload();
  await shelf.visitor.is('ready');
  await shelf.press(card, 'Delete moon');
  const dialog = shelf.page.getByRole('dialog', { name: 'Delete moon?' });
  await dialog.getByRole('button', { name: 'Keep it' }).click();
  assert.equal((await shelf.stored())[hash], moon.length);
  await shelf.press(card, 'Delete moon');
  await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
  await shelf.says(card, /Nothing of it is stored any more/);
  const files = Object.keys(await shelf.stored());
  assert.deepEqual(files.filter((name) => name.startsWith(hash)), []);
  assert.equal(files.filter((name) => name.endsWith('.json')).length, 1, 'only the demo model is remembered');

  await shelf.press(card, 'Remove moon');
  await card.waitFor({ state: 'detached' });
  await shelf.page.reload();
  await shelf.card('demo').waitFor();
  assert.equal(await card.count(), 0);
  await shelf.leave();
});

test('the room is told, and the browser is asked to keep what is in it', async () => {
  const shelf = await Shelf.open(browser, proxy.url, {
    prepare: (page) =>
      page.addInitScript(() => {
        StorageManager.prototype.persist = async () => window.answer ?? false;
      }),
  });
  const room = shelf.page.getByRole('region', { name: 'Storage' });
  await room.filter({ hasText: /[\d.]+ MB used, [\d.]+ GB free for this page/ }).waitFor();
  await room.getByRole('button', { name: 'Keep it' }).click();
  await room.filter({ hasText: /did not promise/ }).waitFor();
  await shelf.page.evaluate(() => {
    window.answer = true;
  });
  await room.getByRole('button', { name: 'Ask again to keep it' }).click();
  await room.filter({ hasText: /keeps models and pictures until you delete them/ }).waitFor();
  await shelf.leave();
});

test('what cannot be added is refused with what is wrong and what to do', async () => {
  hub.list('stabilityai/sd-turbo', { 'model_index.json': Buffer.from('{}'), 'unet/diffusion_pytorch_model.safetensors': Buffer.from('x') });
  hub.list('old/pickle', { 'model.ckpt': Buffer.from('x') });
  hub.list('some/text', { 'README.md': Buffer.from('#') });
  hub.serve('/page.json', '<!doctype html><title>Sign in</title>');
  hub.serve('/list.json', '[]');
  hub.serve('/models/bare/bare.gguf', moon);
  const shelf = await Shelf.open(browser, `${proxy.url}?hub=${hub.url}`);
  for (const [text, pattern] of [
    ['', /Write the address of a model, or its name on the Hub/],
    ['sd-turbo', /neither an address that begins with https:\/\/ nor a name of the Hub/],
    [`${hub.url}/model.safetensors`, /must be converted with `darkroom convert` first/],
    [`${hub.url}/missing.json`, /answered 404 to .*; there is no such file, so check the address/],
    [`${hub.url}/page.json`, /answers with a web page and not with a manifest/],
    [`${hub.url}/list.json`, /manifest is not usable.*JSON/],
    [`${hub.url}/models/bare/bare.gguf`, /no manifest beside .*darkroom convert … --manifest/],
    ['nobody/nothing', /has no public model nobody\/nothing; look for a typing error/],
    ['stabilityai/sd-turbo', /has only safetensors.*Convert it first.*darkroom convert --model sd-turbo --to gguf/],
    ['old/pickle', /has only pickled checkpoints/],
    ['some/text', /has no model in it: neither GGUF nor safetensors/],
  ]) {
    await shelf.refuses(text, pattern);
  }
  hub.hasCors = false;
  await shelf.refuses(`${hub.url}/list.json`, /does not let other pages read from it/);
  assert.equal(await shelf.page.getByRole('article').count(), 1, 'nothing was added');
  assert.deepEqual(hub.ranges(), []);
  await shelf.leave();
});

test('a manifest that lies and a server without ranges are found out', async () => {
  const shelf = await Shelf.open(browser, proxy.url);
  const longer = (manifest) => ({ ...manifest, size: manifest.size + 1000, range_size: manifest.range_size + 200 });
  const lying = shelf.card('lying');
  await shelf.ask(hub.serveModel('lying', moon, { change: longer }));
  await shelf.says(lying, /manifest says that lying\.gguf has \d+ bytes, but the server has \d+/);

  const huge = (manifest) => {
    const ranges = Array.from({ length: 7 }, () => manifest.sha256);
    return { ...manifest, size: 100 << 20, range_size: 16 << 20, ranges };
  };
  const whole = shelf.card('whole');
  hub.knowsRanges = false;
  await shelf.ask(hub.serveModel('whole', moon, { change: huge }));
  await shelf.says(whole, /does not answer range requests/);

  hub.knowsRanges = true;
  const damaged = shelf.card('moon');
  await shelf.ask(hub.serveModel('moon', moon, { change: (manifest) => ({ ...manifest, ranges: [...manifest.ranges.slice(0, 4), manifest.sha256] }) }));
  await shelf.press(damaged, 'Download');
  await shelf.says(damaged, /Part 5 of 5 of the model arrived damaged 4 times/);
  await shelf.says(damaged, /Paused\s*7\.8 MB of 9\.7 MB/);
  await shelf.leave();
});

test('the page’s own model can be deleted and fetched again', async () => {
  const shelf = await Shelf.open(browser, proxy.url);
  const card = shelf.card('demo');
  await shelf.says(card, /Stored/);
  await shelf.says(card, /Text encoder\s*\d+ kB\s*Denoiser\s*[\d.]+ MB/);
  await shelf.press(card, 'Delete demo');
  await shelf.page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await shelf.says(card, /Nothing of it is stored any more/);
  assert.deepEqual(Object.keys(await shelf.stored()), []);
  proxy.forget();
  await shelf.press(card, 'Download');
  await shelf.says(card, /All of it is stored/);
  assert.ok(proxy.requests.some(isModel));
  await shelf.leave();
});

test('the Models view is operable by keyboard, and every control has a name', async () => {
  const visitor = await Visitor.open(browser, `${proxy.url}#models`);
  const { page } = visitor;
  await visitor.is('ready');
  await page.getByRole('article', { name: 'demo', exact: true }).waitFor();
  const tree = await page.locator('body').ariaSnapshot();
  const nameless = tree.split('\n').filter((line) => /- (button|textbox|combobox|slider|link|progressbar)(:|$| \[)/.test(line));
  assert.deepEqual(nameless, []);
  assert.equal(await page.locator('main:visible').count(), 1);
  const reached = new Set();
  for (let presses = 0; presses < 14; presses += 1) {
    await page.keyboard.press('Tab');
    reached.add(await page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.id ?? ''));
    reached.add(await page.evaluate(() => document.activeElement.textContent));
  }
  for (const wanted of ['Models', 'add-model', 'Add', 'Measure this device (5 s)', 'Keep it', 'Verify demo', 'Delete demo']) {
    assert.ok(reached.has(wanted), `Tab does not reach ${wanted}`);
  }
  await visitor.leave();
});

for (const colorScheme of ['light', 'dark']) {
  test(`at 360 pixels nothing of the Models view sticks out, ${colorScheme}`, async () => {
    const url = hub.serveModel('moon', moon);
    const shelf = await Shelf.open(browser, proxy.url, { viewport: { width: 360, height: 740 }, colorScheme });
    await shelf.refuses(`${hub.url}/missing.json`, /404/);
    await shelf.add(url, 'moon');
    const [content, window] = await shelf.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= window, `${content} pixels of content in ${window}`);
    await shelf.leave();
  });
}

/** Another name in the model's own words about itself, of the same length. */
function named(model, name) {
  const bytes = Buffer.from(model);
  const at = ['demo', 'moon'].map((old) => bytes.indexOf(`"name":"${old}"`)).find((found) => found >= 0);
  bytes.write(name, at + '"name":"'.length);
  return bytes;
}

/** Holds the answer to the third range up until the returned function is called. */
function holdThird() {
  let release;
  const held = new Promise((resolve) => {
    release = resolve;
  });
  const start = 2 * Math.ceil(moon.length / RANGES);
  hub.before = ({ path, range }) => (path.endsWith('.gguf') && range?.startsWith(`bytes=${start}-`) ? held : undefined);
  return release;
}
