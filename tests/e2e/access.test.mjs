// The page for those who listen, who have a small screen, and whose browser knows no WebGPU.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './support/chromium.mjs';
import { pageUrl } from './support/environment.mjs';
import { assertSnapshot, withoutFigures } from './support/snapshot.mjs';
import { Visitor } from './support/visitor.mjs';

const DRAWING = { prompt: 'a red apple on a blue background', steps: 2, seed: 7 };

let browser;
before(async () => {
  browser = await launch({ webgpu: false });
});
after(() => browser?.close());

test('the accessibility tree is as committed, before and after a picture', async () => {
  const visitor = await Visitor.open(browser, pageUrl);
  const body = visitor.page.locator('body');
  await visitor.is('ready', 'cpu');
  await settle(visitor.page);
  await assertSnapshot('ready.aria.yml', withoutFigures(await body.ariaSnapshot()));
  await visitor.draw(DRAWING);
  await settle(visitor.page);
  await assertSnapshot('picture.aria.yml', withoutFigures(await body.ariaSnapshot()));
  await visitor.leave();
});

test('every control has a name', async () => {
  const visitor = await Visitor.open(browser, pageUrl);
  await visitor.is('ready');
  const tree = await visitor.page.locator('body').ariaSnapshot();
  const nameless = tree.split('\n').filter((line) => /- (button|textbox|combobox|slider|link)(:|$| \[)/.test(line));
  assert.deepEqual(nameless, []);
  await visitor.leave();
});

for (const colorScheme of ['light', 'dark']) {
  test(`at 360 pixels nothing sticks out, ${colorScheme}`, async () => {
    const visitor = await Visitor.open(browser, pageUrl, { viewport: { width: 360, height: 740 }, colorScheme });
    await visitor.is('ready');
    await assertFits(visitor.page);
    await visitor.draw(DRAWING);
    await visitor.page.locator('.print summary').click();
    await assertFits(visitor.page);
    await visitor.leave();
  });
}

async function assertFits(page) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `${content} pixels of content in ${window}`);
}

/** Waits until what is said to those who listen has caught up with what is shown. */
async function settle(page) {
  await page.waitForFunction(() => {
    const line = document.querySelector('.progress-line');
    return line.querySelector('[role=status]').textContent.startsWith(line.querySelector('.headline').textContent);
  });
  await page.waitForTimeout(1500);
}
