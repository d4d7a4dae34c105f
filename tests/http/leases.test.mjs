// A job is one node's at a time: whoever lost its lease is not heard, and every job ends once, in the books too.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { books } from './support/books.mjs';
import { Client } from './support/client.mjs';
import { objects } from './support/objects.mjs';
import { roomy } from './support/plans.mjs';
import { plain } from './support/png.mjs';
import { Stack, eventually } from './support/stack.mjs';

const STALE = 100;
const LEASE_SECONDS = '6';

let stack;
before(async () => {
  stack = await Stack.start({ node: 'none', variables: { ...roomy(), LEASE_SECONDS } });
  // From now on the model is known, and jobs for it are taken although no node is there.
  await stack.stubNode({ slots: 0 });
  await stack.stopStubs();
});
afterEach(() => stack.stopStubs());
after(() => stack?.stop());

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const done = (...pictures) => ({ outcome: 'done', pictures, seconds: 0.1, batch: 1 });
const together = (items, act) => Promise.all(items.map(act));

/** A node that takes jobs and leaves what becomes of them to the test. */
async function hold(options = {}) {
  const node = await stack.stubNode({ name: 'held', work: () => new Promise(() => {}), ...options });
  return { node, lease: () => eventually('the node has a job', () => node.leases.at(-1)) };
}

/** What nobody else would draw. */
function forged(lease) {
  const bytes = plain(64, 64, [255, 0, 255]);
  return { bytes, made: { sha256: sha256(bytes), seed: Number(lease.request.task.spec.seed), width: 64, height: 64, is_flagged: false } };
}

async function balance(client) {
  const { credits, held } = await client.json('GET', '/v1/usage');
  return [credits, held];
}

test(`of ${STALE} nodes' words that come after their leases, ${STALE} are refused`, async () => {
  const client = await stack.signUp({ plan: 'enterprise', credits: STALE });
  const accepted = await together(Array.from({ length: STALE }), (_, seed) => client.make({ seed, prompt: `a dog, ${seed}` }));

  const uploads = [];
  const stalled = await stack.stubNode({
    name: 'stalled',
    slots: STALE,
    work: async (stub, lease) => uploads.push(await stub.upload(lease, 0, forged(lease).bytes)),
  });
  await eventually('the first node has stored every picture', () => uploads.length === STALE);
  await stalled.stop();
  assert.deepEqual(new Set(uploads), new Set([204]));
  assert.equal(new Set(stalled.leases.map(({ job }) => job)).size, STALE);
  assert.equal(objects(stack, `${client.account}/pictures/`).length, STALE);

  const other = await stack.stubNode({ name: 'other' });
  await eventually('every job is over', async () => (await client.json('GET', '/v1/usage')).queued === 0);
  const jobs = await together(accepted, ({ id }) => client.json('GET', `/v1/jobs/${id}`));
  assert.deepEqual(new Set(jobs.map(({ status }) => status)), new Set(['succeeded']));

  const words = [
    (lease) => stalled.report(lease),
    (lease) => stalled.upload(lease, 0, forged(lease).bytes),
    (lease) => stalled.end(lease, done(forged(lease).made)),
    (lease) => stalled.input(lease, 'image'),
  ];
  for (const say of words) {
    const answers = await together(stalled.leases, say);
    assert.deepEqual(answers, Array(STALE).fill(409));
  }

  const winners = other.leases.map(({ job, epoch }) => `${client.account}/pictures/${job}/${epoch}/0`);
  assert.deepEqual(objects(stack, `${client.account}/pictures/`), winners.sort());
  const stranger = new Client(stack.url, null);
  await together(jobs, async ({ pictures: [picture] }) => {
    const { status, body } = await stranger.call('GET', picture.url);
    assert.equal(status, 200);
    assert.equal(sha256(body), picture.sha256);
    assert.notEqual(picture.sha256, sha256(plain(64, 64, [255, 0, 255])));
  });
  const { captured } = await books(client);
  assert.equal(captured, STALE);
});

test('a job that every node fails is tried three times, and refunded', async () => {
  const failing = await stack.stubNode({
    work: (stub, lease) => stub.end(lease, { outcome: 'failed', reason: 'the device is on fire' }),
  });
  const client = await stack.signUp();
  const job = await client.over((await client.make()).id);
  assert.equal(job.status, 'failed');
  assert.deepEqual(job.error, { code: 'failed', detail: 'the device is on fire' });
  assert.deepEqual(failing.leases.map(({ epoch }) => epoch), [1, 2, 3]);
  assert.deepEqual(await balance(client), [20, 0]);
  await books(client);
});

test('a job that kills every node is tried three times, and refunded', async () => {
  const dying = await stack.stubNode({ name: 'dying', work: (stub, lease) => stub.report(lease) });
  const client = await stack.signUp();
  const job = await client.over((await client.make()).id);
  assert.equal(job.status, 'failed');
  assert.equal(job.error.code, 'failed');
  assert.equal(dying.leases.length, 3);
  assert.deepEqual(await balance(client), [20, 0]);
  await books(client);
});

test('a node that was gone before a job reached it costs the job no attempt', async () => {
  const gone = await stack.stubNode({ name: 'gone', work: () => {} });
  const client = await stack.signUp();
  const { id } = await client.make();
  await eventually('four leases without a word', () => gone.leases.length === 4);
  await stack.stopStubs();
  await stack.stubNode();
  const job = await client.over(id);
  assert.equal(job.status, 'succeeded');
  await books(client);
});

test('a job that nobody can do is refused once, with the reason, and refunded', async () => {
  const refusing = await stack.stubNode({
    work: (stub, lease) => stub.end(lease, { outcome: 'refused', reason: 'the mask covers everything' }),
  });
  const client = await stack.signUp();
  const job = await client.over((await client.make()).id);
  assert.equal(job.status, 'failed');
  assert.equal(job.error.detail, 'the mask covers everything');
  assert.equal(refusing.leases.length, 1);
  assert.deepEqual(await balance(client), [20, 0]);
  await books(client);
});

test('work that is handed back costs no attempt', async () => {
  const leaving = await stack.stubNode({
    work: (stub, lease) => (lease.epoch > 4 ? stub.draw(lease) : stub.end(lease, { outcome: 'handed_back' })),
  });
  const client = await stack.signUp();
  const job = await client.over((await client.make()).id);
  assert.equal(job.status, 'succeeded', JSON.stringify(job));
  assert.deepEqual(leaving.leases.map(({ epoch }) => epoch), [1, 2, 3, 4, 5]);
  await books(client);
});

test('a queued job that is cancelled is refunded, and no node gets it', async () => {
  const client = await stack.signUp();
  const { id } = await client.make();
  assert.deepEqual(await balance(client), [19, 1]);
  const cancelled = await client.json('POST', `/v1/jobs/${id}/cancel`);
  assert.equal(cancelled.status, 'cancelled');
  assert.deepEqual(await balance(client), [20, 0]);

  const node = await stack.stubNode();
  const next = await client.make({ prompt: 'a cat' });
  assert.equal((await client.over(next.id)).status, 'succeeded');
  assert.equal(node.leases.length, 1);
  assert.deepEqual(await client.json('GET', `/v1/jobs/${id}`), cancelled);
  await books(client);
});

test('a running job that is cancelled is refunded, and its node is told to forget it', async () => {
  const { node, lease: held } = await hold();
  const client = await stack.signUp();
  const { id } = await client.make();
  const lease = await held();
  const { bytes, made } = node.picture(lease, 0);
  assert.equal(await node.upload(lease, 0, bytes), 204);
  assert.equal((await client.json('GET', `/v1/jobs/${id}`)).status, 'running');

  assert.equal((await client.json('POST', `/v1/jobs/${id}/cancel`)).status, 'cancelled');
  assert.deepEqual(await balance(client), [20, 0]);
  assert.equal(await node.report(lease), 409);
  assert.equal(await node.upload(lease, 0, bytes), 409);
  assert.equal(await node.end(lease, done(made)), 409);
  assert.deepEqual(objects(stack, `${client.account}/`), []);
  const again = await client.json('POST', `/v1/jobs/${id}/cancel`);
  assert.deepEqual([again.status, again.pictures], ['cancelled', []]);
  await books(client);
});

test('an end that is said five times at once is heard once', async () => {
  const { node, lease: held } = await hold();
  const client = await stack.signUp();
  const { id } = await client.make();
  const lease = await held();
  const { bytes, made } = node.picture(lease, 0);
  assert.equal(await node.upload(lease, 0, bytes), 204);
  const answers = await together(Array.from({ length: 5 }), () => node.end(lease, done(made)));
  assert.deepEqual(answers.sort(), [204, 409, 409, 409, 409]);
  assert.equal(await node.end(lease, { outcome: 'failed', reason: 'too late' }), 409);

  const job = await client.json('GET', `/v1/jobs/${id}`);
  assert.equal(job.status, 'succeeded');
  assert.equal((await client.call('GET', job.pictures[0].url)).status, 200);
  assert.deepEqual(await balance(client), [19, 0]);
  const { captured } = await books(client);
  assert.equal(captured, 1);
});

test('a success is heard only when every picture is stored with the hash that is said', async () => {
  const { node, lease: held } = await hold();
  const client = await stack.signUp({ plan: 'enterprise' });
  const { id } = await client.make({ samples: 2 });
  const lease = await held();
  const [first, second] = [0, 1].map((index) => node.picture(lease, index));
  const claim = done(first.made, second.made);
  assert.equal(await node.end(lease, claim), 422, 'nothing is stored');

  assert.equal(await node.upload(lease, 0, first.bytes, { hash: '0'.repeat(64) }), 422, 'damaged on its way');
  assert.equal(await node.upload(lease, 0, Buffer.from('<html><script>alert(1)</script></html>')), 422, 'no picture');
  assert.equal(await node.upload(lease, 0, first.bytes.subarray(0, 20)), 422, 'cut off');
  assert.deepEqual(objects(stack, `${client.account}/`), []);

  assert.equal(await node.upload(lease, 0, first.bytes), 204);
  assert.equal(await node.end(lease, claim), 422, 'one of two is stored');
  assert.equal(await node.upload(lease, 1, second.bytes), 204);
  assert.equal(await node.end(lease, done(first.made)), 422, 'one of two is said');
  assert.equal(await node.end(lease, done(second.made, first.made)), 422, 'the hashes are exchanged');
  assert.equal((await client.json('GET', `/v1/jobs/${id}`)).status, 'running');
  assert.deepEqual(await balance(client), [18, 2]);

  assert.equal(await node.end(lease, claim), 204);
  const job = await client.json('GET', `/v1/jobs/${id}`);
  assert.deepEqual(job.pictures.map(({ sha256 }) => sha256), [first.made.sha256, second.made.sha256]);
  await books(client);
});

test('nodes need the token', async () => {
  for (const token of [null, 'wrong', stack.adminToken]) {
    const { status } = await new Client(stack.url, token).call('POST', '/node/v1/lease', {});
    assert.equal(status, 401);
  }
});
