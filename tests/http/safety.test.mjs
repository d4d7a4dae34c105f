// Words that are not drawn here, and accounts that ask for them again and again.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SMALL } from './support/client.mjs';
import { Stack } from './support/stack.mjs';

const FORBIDDEN = { ...SMALL, prompt: 'some  G\u200bore, please' };

let stack;
before(async () => {
  stack = await Stack.start({ variables: { BLOCKED_TERMS: '# a list\ngore\n', STRIKES: '3', STRIKES_SECONDS: '3600' } });
});
after(() => stack?.stop());

test('a blocked term is refused in both dialects, however it is written, and costs nothing', async () => {
  const client = await stack.signUp();
  const refused = await client.call('POST', '/v1/images', FORBIDDEN);
  assert.deepEqual([refused.status, refused.body.code], [422, 'invalid_request']);
  const legacy = { key: client.key, prompt: 'GORE', width: 64, height: 64, enhance_prompt: 'no' };
  const { status, body } = await client.call('POST', '/api/v3/text2img', legacy);
  assert.deepEqual([status, body.status], [200, 'error']);
  const { credits, held } = await client.json('GET', '/v1/usage');
  assert.deepEqual([credits, held], [20, 0]);
});

test('who asks for it again and again is suspended, until an operator says otherwise', async () => {
  const client = await stack.signUp();
  for (let hit = 0; hit < 3; hit += 1) assert.equal((await client.call('POST', '/v1/images', FORBIDDEN)).status, 422);
  const suspended = await client.call('POST', '/v1/images', SMALL);
  assert.deepEqual([suspended.status, suspended.body.code], [403, 'forbidden']);
  assert.match(suspended.body.detail, /suspended/);

  await stack.admin.json('POST', `/admin/accounts/${client.account}/resume`, {});
  const job = await client.over((await client.json('POST', '/v1/images', SMALL)).id);
  assert.equal(job.status, 'succeeded');
  const { audit } = await client.json('GET', '/v1/account/export');
  assert.ok(audit.some(({ what }) => /suspended for prompts/.test(what)), JSON.stringify(audit));
});
