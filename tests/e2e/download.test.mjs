// A model's way here, with everything that can happen to it.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { launch } from './support/chromium.mjs';
import { pageUrl } from './support/environment.mjs';
import { corrupted, cut, refused, silent, truncated } from './support/faults.mjs';
import { Proxy, isModel } from './support/proxy.mjs';
import { fillDisk } from './support/sabotage.mjs';
import { Visitor } from './support/visitor.mjs';

const RANGES = 5;
const DRAWING = { prompt: 'a red apple on a blue background', steps: 2, seed: 3 };

let browser;
let proxy;
before(async () => {
  [browser, proxy] = await Promise.all([launch(), Proxy.start(pageUrl)]);
});
beforeEach(() => {
  proxy.heal();
  proxy.forget();
  proxy.cutModelInto(RANGES);
});
after(() => Promise.all([browser?.close(), proxy?.stop()]));

/** The third range, so that something is stored before and something is missing after. */
function thirdRange() {
  let third;
  return (request) => {
    if (!isModel(request)) return false;
    const ranges = [...new Set(proxy.requests.filter(isModel).map(({ range }) => range))];
    third ??= ranges[2];
    return request.range === third;
  };
}

const askedFor = () => proxy.requests.filter(isModel).map(({ range }) => range);

for (const [name, fault] of Object.entries({ corrupted, truncated, cut, refused })) {
  test(`a range that is ${name} once is asked for again`, async () => {
    proxy.spoil(thirdRange(), fault, 1);
    const visitor = await Visitor.open(browser, proxy.url);
    await visitor.is('ready');
    const ranges = askedFor();
    assert.equal(new Set(ranges).size, RANGES);
    assert.equal(ranges.length, RANGES + 1, `asked for ${ranges.join(', ')}`);
    assert.equal(ranges[2], ranges[3]);
    const { events } = await visitor.seen();
    assert.ok(events.some(({ type, attempt }) => type === 'download' && attempt === 2));
    await visitor.leave();
  });
}

for (const [name, fault, words] of [
  ['corrupted', corrupted, /part 3 of 5 .* damaged/i],
  ['refused', refused, /the server answered 503/i],
]) {
  test(`a range that is always ${name} is reported, and a retry goes on from there`, async () => {
    proxy.spoil(thirdRange(), fault);
    const visitor = await Visitor.open(browser, proxy.url);
    await visitor.is('error');
    assert.match(await visitor.notice(), words);
    const before = askedFor();

    proxy.heal();
    proxy.cutModelInto(RANGES);
    proxy.forget();
    await visitor.page.getByRole('button', { name: 'Retry' }).click();
    await visitor.is('ready');
    assert.equal(await visitor.page.locator('[role=alert] p').count(), 0);
    assert.equal(askedFor().length, RANGES - 2, 'only what is missing is fetched');
    assert.ok(!askedFor().includes(before[0]));
    await visitor.draw(DRAWING);
    await visitor.leave();
  });
}

test('a network that goes away in the middle is waited for', async () => {
  proxy.spoil(thirdRange(), (answer) => {
    proxy.isOffline = true;
    return answer;
  });
  const visitor = await Visitor.open(browser, proxy.url);
  await visitor.is('error');
  await visitor.context.setOffline(true);
  assert.match(await visitor.notice(), /goes on when the network is back/);

  proxy.heal();
  proxy.cutModelInto(RANGES);
  proxy.forget();
  await visitor.context.setOffline(false);
  await visitor.is('ready');
  assert.equal(await visitor.page.locator('[role=alert] p').count(), 0);
  assert.equal(askedFor().length, RANGES - 2, 'only what is missing is fetched');
  await visitor.draw(DRAWING);
  await visitor.leave();
});

test('a reload in the middle of a download goes on from there', async () => {
  proxy.spoil(thirdRange(), silent);
  const visitor = await Visitor.open(browser, proxy.url);
  while (askedFor().length < 3) await visitor.page.waitForTimeout(50);

  proxy.heal();
  proxy.cutModelInto(RANGES);
  proxy.forget();
  await visitor.page.reload();
  await visitor.is('ready');
  assert.equal(askedFor().length, RANGES - 2, 'only what is missing is fetched');
  await visitor.leave();
});

test('a range that never comes is given up, said and asked for again', async () => {
  proxy.spoil(thirdRange(), silent, 1);
  const visitor = await Visitor.open(browser, proxy.url, { prepare: (page) => page.clock.install() });
  while (askedFor().length < 3) await visitor.page.waitForTimeout(50);
  // The page's patience, which counts the ticks of its own clock, not this test's time.
  await visitor.page.clock.runFor('11:00');
  await visitor.is('ready');
  assert.match((await visitor.seen()).notices.join(' '), /no sign of life/);
  await visitor.leave();
});

test('a full disk is said, and the model works from memory', async () => {
  proxy.runInWorker(fillDisk, 1_000_000);
  const visitor = await Visitor.open(browser, proxy.url);
  await visitor.is('ready');
  await visitor.reads(/no room .* kept in memory/);
  assert.match(await visitor.notice(), /kept in memory/, 'there is time to read it');
  await visitor.draw(DRAWING);
  await visitor.leave();
});
