// What is accepted is not lost, whatever dies, stalls or speaks too late; and no credit goes astray.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Client } from './support/client.mjs';
import { Stack, eventually } from './support/stack.mjs';

let stack;
before(async () => {
  stack = await Stack.start({ node: 'none' });
});
afterEach(() => stack.stopStubs());
after(() => stack?.stop());

/** Asks until the service answers at all: what was not answered may or may not have been accepted. */
async function persistently(act) {
  return eventually('the service answers', () => act().catch(() => null));
}

test('jobs that were accepted survive kills of workerd, each is charged once', async () => {
  await stack.stubNode({ delay: 20 });
  const client = await stack.signUp({ plan: 'enterprise', credits: 200 });
  const before = (await client.json('GET', '/v1/usage')).credits;
  const accepted = new Set();
  const asking = Array.from({ length: 40 }, async (_, number) => {
    // The same key again after an answer that did not arrive gives the same job.
    const headers = { 'idempotency-key': `kill-${number}` };
    const job = await persistently(() => client.make({ seed: number, prompt: `a dog, ${number}` }, headers));
    accepted.add(job.id);
  });
  for (let kill = 0; kill < 3; kill += 1) await stack.killWorkerd();
  await Promise.all(asking);
  assert.equal(accepted.size, 40);

  for (const id of accepted) {
    const job = await persistently(() => client.over(id));
    assert.equal(job.status, 'succeeded', JSON.stringify(job));
    assert.equal((await new Client(stack.url, null).call('GET', job.pictures[0].url)).status, 200);
  }
  const usage = await client.json('GET', '/v1/usage');
  assert.deepEqual([usage.credits, usage.held], [before - 40, 0]);
});

test('a node that stalls loses its job to another, and is refused when it speaks at last', async () => {
  const stalled = await stack.stubNode({ name: 'stalled', slots: 1, work: () => new Promise(() => {}) });
  const client = await stack.signUp();
  const { id } = await client.make({ prompt: 'a fish' });
  const old = await eventually('the first node has the job', () => stalled.leases[0]);
  await stalled.stop();

  const other = await stack.stubNode({ name: 'other' });
  const job = await client.over(id);
  assert.equal(job.status, 'succeeded', JSON.stringify(job));
  const [lease] = other.leases;
  assert.deepEqual([lease.account, lease.job], [old.account, old.job]);
  assert.ok(lease.epoch > old.epoch);

  const { bytes, made } = stalled.picture(old, 0);
  assert.equal(await stalled.report(old), 409);
  assert.equal(await stalled.upload(old, 0, bytes), 409);
  assert.equal(await stalled.end(old, { outcome: 'done', pictures: [made], seconds: 1, batch: 1 }), 409);
  assert.deepEqual(await client.json('GET', `/v1/jobs/${id}`), job);
});

test('a job that every node fails is given up after three attempts, and refunded', async () => {
  const failing = await stack.stubNode({
    name: 'failing',
    work: (stub, lease) => stub.end(lease, { outcome: 'failed', reason: 'the device is on fire' }),
  });
  const client = await stack.signUp();
  const { id } = await client.make({ prompt: 'a bird' });
  const job = await client.over(id);
  assert.equal(job.status, 'failed');
  assert.equal(job.error.code, 'failed');
  assert.equal(failing.leases.length, 3);
  const usage = await client.json('GET', '/v1/usage');
  assert.deepEqual([usage.credits, usage.held], [20, 0]);
});

test('work that is handed back costs no attempt', async () => {
  let times = 0;
  const leaving = await stack.stubNode({
    name: 'leaving',
    work: (stub, lease) => ((times += 1) > 4 ? stub.draw(lease) : stub.end(lease, { outcome: 'handed_back' })),
  });
  const client = await stack.signUp();
  const job = await client.over((await client.make({ prompt: 'a house' })).id);
  assert.equal(job.status, 'succeeded', JSON.stringify(job));
  assert.equal(leaving.leases.length, 5);
});

test('a picture that is not what it is said to be is refused', async () => {
  const tried = [];
  await stack.stubNode({
    name: 'lying',
    async work(stub, lease) {
      const { bytes } = stub.picture(lease, 0);
      tried.push(await stub.upload(lease, 0, bytes, { hash: '0'.repeat(64) }));
      tried.push(await stub.upload(lease, 0, Buffer.from('<html><script>alert(1)</script></html>')));
      tried.push(await stub.upload(lease, 0, bytes.subarray(0, 20)));
      return stub.draw(lease);
    },
  });
  const client = await stack.signUp();
  const job = await client.over((await client.make({ prompt: 'a tree' })).id);
  assert.deepEqual(tried, [422, 422, 422]);
  assert.equal(job.status, 'succeeded', JSON.stringify(job));
});

test('nodes need the token', async () => {
  for (const token of [null, 'wrong', stack.adminToken]) {
    const { status } = await new Client(stack.url, token).call('POST', '/node/v1/lease', {});
    assert.equal(status, 401);
  }
});
