// The outer fence: strangers are counted roughly and soon kept out, those whom an account let in are not counted twice.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client } from './support/client.mjs';
import { Stack } from './support/stack.mjs';

const SHED = 40;

let stack;
before(async () => {
  stack = await Stack.start({ node: 'none', shed: SHED });
});
after(() => stack?.stop());

/** The statuses of so many calls, one after another. */
async function statuses(count, call) {
  const all = [];
  for (let turn = 0; turn < count; turn += 1) all.push((await call()).status);
  return all;
}

test('a flood of strangers is kept out, and whoever has a key goes on', async () => {
  const client = await stack.signUp();
  assert.equal((await client.call('GET', '/v1/usage')).status, 200);
  const stranger = new Client(stack.url, null);
  const flood = await statuses(4 * SHED, () => stranger.call('GET', '/v1/models'));
  assert.ok(flood.includes(200) && flood.includes(503), flood.join());
  const kept = await stranger.call('GET', '/v1/models');
  assert.deepEqual([kept.status, kept.body.code], [503, 'unavailable']);
  assert.ok(Number(kept.headers.get('retry-after')) >= 1);

  const wrong = new Client(stack.url, `${client.key.slice(0, -1)}${client.key.endsWith('0') ? '1' : '0'}`);
  assert.equal((await wrong.call('GET', '/v1/usage')).status, 401, 'what is no key at all is not even counted');
  assert.deepEqual(new Set(await statuses(3 * SHED, () => client.call('GET', '/v1/usage'))), new Set([200]));
});

test('a long body of nobody is not read while the fence is closed', async () => {
  const stranger = new Client(stack.url, null);
  const body = JSON.stringify({ key: 'x', prompt: 'x'.repeat(200_000) });
  const closed = [200, 'Service temporarily unavailable. Please try again later.'];
  // What is counted is forgotten at the end of a window, which may lie between the flood and the call, but not twice.
  let found;
  for (let turn = 0; turn < 2 && found?.[1] !== closed[1]; turn += 1) {
    await statuses(4 * SHED, () => stranger.call('GET', '/v1/models'));
    const answer = await stranger.call('POST', '/api/v3/text2img', body, { 'content-type': 'application/json' });
    found = [answer.status, answer.body.message];
  }
  assert.deepEqual(found, closed);
});
