// Words that are not drawn here, and accounts that ask for them again and again.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { books } from './support/books.mjs';
import { SMALL } from './support/client.mjs';
import { roomy } from './support/plans.mjs';
import { plain } from './support/png.mjs';
import { Stack, eventually } from './support/stack.mjs';

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
  assert.ok(audit.some(({ what }) => /suspended: a prompt had a blocked term too often/.test(what)), JSON.stringify(audit));
});

test('a picture that may not be shown is withheld, told in both dialects, and not paid where all of a job are', async () => {
  const flags = ({ task, censor }, index) => censor !== null && task.spec.seed !== '1' && (task.spec.seed === '2' || index === 0);
  const judging = await Stack.start({ stub: { flags }, variables: { ...roomy(), STRIKES: '3', STRIKES_SECONDS: '3600' } });
  try {
    const client = await judging.signUp({ plan: 'enterprise', credits: 20 });
    const before = (await client.json('GET', '/v1/usage')).credits;
    const spent = async () => before - (await client.json('GET', '/v1/usage')).credits;

    const fine = await client.over((await client.make({ seed: 1, censor: 'blur' })).id);
    assert.deepEqual([fine.status, fine.pictures[0].flagged], ['succeeded', false]);
    const paid = await spent();
    const withheld = await client.over((await client.make({ seed: 2, samples: 2, censor: 'blur' })).id);
    assert.deepEqual([withheld.status, ...withheld.pictures.map(({ flagged }) => flagged)], ['succeeded', true, true]);
    assert.equal(await spent(), paid, 'nothing could be shown, so nothing is paid');
    await books(client);

    const legacy = { prompt: 'a dog', width: 64, height: 64, samples: 2, seed: 3, safety_checker: 'yes' };
    const { body } = await client.modelslab('v3/text2img', legacy);
    assert.deepEqual([body.status, body.nsfw_content_detected, body.output.length], ['success', true, 2]);
    assert.ok((await spent()) > paid, 'one of two could be shown, so both are paid');
    await books(client);

    const last = await client.make({ seed: 2, censor: 'black' });
    await eventually('the third hit suspends the account', async () => (await client.call('GET', `/v1/jobs/${last.id}`)).status === 403);
    await judging.admin.json('POST', `/admin/accounts/${client.account}/resume`, {});
    const { audit } = await client.json('GET', '/v1/account/export');
    assert.equal(audit.filter(({ what }) => what === 'a picture was withheld').length, 3);
  } finally {
    await judging.stop();
  }
});

test('a job that wants its pictures judged goes to a node that can, and to no other', async () => {
  const mixed = await Stack.start({ stub: { name: 'blind' } });
  try {
    const seeing = await mixed.stubNode({ name: 'seeing', flags: () => false, slots: 1 });
    await eventually('the pool knows that one can judge', async () => (await mixed.admin.json('GET', '/admin/pool')).nodes.length === 2);
    const client = await mixed.signUp({ plan: 'premium', credits: 50 });
    const jobs = await Promise.all(Array.from({ length: 6 }, (_, seed) => client.make({ seed, censor: 'blur' })));
    for (const { id } of jobs) assert.equal((await client.over(id)).status, 'succeeded');
    assert.equal(seeing.leases.length, jobs.length);
    assert.ok(mixed.stub.leases.every(({ request }) => request.censor === null));
  } finally {
    await mixed.stop();
  }
});

test('a picture is judged by a node that can, and is said not to be where there is none', async () => {
  const image = `data:image/png;base64,${plain(64, 64, [1, 2, 3]).toString('base64')}`;
  const alone = await stack.signUp();
  const missing = await alone.modelslab('v3/nsfw_image_check', { init_image: image });
  assert.equal(missing.body.status, 'error');
  assert.match(JSON.stringify(missing.body), /checker/);

  const judging = await Stack.start({ stub: { flags: ({ task }) => task.threshold < 0.6 } });
  try {
    const client = await judging.signUp();
    for (const [threshold, flagged] of [[0.5, true], [0.7, false]]) {
      const { body } = await client.modelslab('v3/nsfw_image_check', { init_image: image, threshold });
      assert.deepEqual(body.has_nsfw_concept, [flagged], JSON.stringify(body));
      assert.equal((await fetch(body.images)).status, 200);
    }
    const { credits, images_this_month } = await client.json('GET', '/v1/usage');
    assert.deepEqual([credits, images_this_month], [20, 0], 'to judge costs nothing');
    await books(client);
  } finally {
    await judging.stop();
  }
});

test('where pictures must be judged and nobody can, none is made', async () => {
  const strict = await Stack.start({ variables: { NEEDS_CHECKER: 'yes' } });
  try {
    const client = await strict.signUp();
    const refused = await client.call('POST', '/v1/images', SMALL);
    assert.deepEqual([refused.status, refused.body.code], [503, 'unavailable']);
    const { body } = await client.modelslab('v3/text2img', { prompt: 'a dog', width: 64, height: 64, safety_checker: 'no' });
    assert.equal(body.status, 'error');
    assert.equal(strict.stub.leases.length, 0);

    await strict.stubNode({ name: 'seeing', flags: () => false });
    await eventually('one that can judge is known', async () => (await client.call('POST', '/v1/images', SMALL)).status === 202);
    await eventually('it has the job', () => strict.stub.leases.length === 0);
  } finally {
    await strict.stop();
  }
});
