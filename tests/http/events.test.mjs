// A job as one sees it happen: events, taken up again where they broke off, and waiting for the end.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { SMALL } from './support/client.mjs';
import { Events } from './support/events.mjs';
import { plain, sizeOf } from './support/png.mjs';
import { Stack, eventually } from './support/stack.mjs';

const STEPS = 4;

let stack;
before(async () => {
  stack = await Stack.start({ node: 'none' });
});
afterEach(() => stack.stopStubs());
after(() => stack?.stop());

const names = (events) => events.map(({ name }) => name);
const stepsOf = (events) => events.filter(({ name }) => name === 'progress').map(({ data }) => data.step);
const preview = (step) => plain(8, 8, [step, step, step]).toString('base64');

/** A node that works step by step, as the test lets it. */
async function stepwise(options = {}) {
  const node = await stack.stubNode({ name: 'stepwise', work: () => new Promise(() => {}), ...options });
  const lease = () => eventually('the node has the job', () => node.leases[0]);
  return {
    node,
    lease,
    /** Reports this step with a preview, which is an event each. */
    async step(step) {
      const progress = { phase: 'denoising', step, of: STEPS, seconds_per_step: 0.5, eta_seconds: (STEPS - step) / 2 };
      assert.equal(await node.report(await lease(), { progress, preview: { index: 0, png: preview(step) } }), 200);
    },
    async finish() {
      const { bytes, made } = node.picture(await lease(), 0);
      assert.equal(await node.upload(await lease(), 0, bytes), 204);
      assert.equal(await node.end(await lease(), { outcome: 'done', pictures: [made], seconds: 2, batch: 1 }), 204);
    },
  };
}

test('steps and previews come in their order, then the picture, then the end', async () => {
  const work = await stepwise();
  const client = await stack.signUp();
  const events = await Events.open(client, '/v1/images', { body: { ...SMALL, seed: 7 } });
  assert.equal(events.response.status, 200);
  assert.match(events.response.headers.get('content-type'), /^text\/event-stream/);
  for (let step = 1; step <= STEPS; step += 1) await work.step(step);
  await work.finish();

  const seen = await events.rest();
  const each = Array.from({ length: STEPS }, () => ['progress', 'preview']).flat();
  assert.deepEqual(names(seen), [...each, 'image', 'done']);
  assert.ok(seen.every(({ id }, index) => index === 0 || id > seen[index - 1].id), 'their numbers grow');
  assert.deepEqual(stepsOf(seen), [1, 2, 3, 4]);
  assert.deepEqual(seen[2].data, { phase: 'denoising', step: 2, of: STEPS, seconds_per_step: 0.5, eta_seconds: 1 });
  assert.deepEqual(seen[3].data, { index: 0, png: preview(2) });

  const [image, done] = seen.slice(-2).map(({ data }) => data);
  assert.equal(done.status, 'succeeded');
  assert.deepEqual(image, { index: 0, picture: done.pictures[0] });
  assert.equal(image.picture.seed, 7);
  assert.equal((await client.call('GET', image.picture.url)).status, 200);
  assert.deepEqual(await client.json('GET', `/v1/jobs/${done.id}`), done);
});

test('who comes back is told what was missed, and nothing twice', async () => {
  const work = await stepwise();
  const client = await stack.signUp();
  const { id } = await client.make();
  const path = `/v1/jobs/${id}/events`;
  const first = await Events.open(client, path);
  await work.step(1);
  const before = await first.take(2);
  first.close();
  await work.step(2);
  await work.step(3);

  const second = await Events.open(client, path, { headers: { 'last-event-id': String(before.at(-1).id) } });
  const missed = await second.take(3);
  // A preview is worth nothing once there is a newer one.
  assert.deepEqual(names(missed), ['progress', 'progress', 'preview']);
  assert.equal(missed.at(-1).data.png, preview(3));
  await work.step(4);
  await work.finish();
  const rest = await second.rest();
  assert.deepEqual(stepsOf([...before, ...missed, ...rest]), [1, 2, 3, 4]);
  assert.deepEqual(names(rest), ['progress', 'preview', 'image', 'done']);

  const [image, done] = rest.slice(-2);
  const third = await Events.open(client, path, { headers: { 'last-event-id': String(image.id) } });
  assert.deepEqual(await third.rest(), [done]);
  const fourth = await Events.open(client, path, { headers: { 'last-event-id': String(done.id) } });
  assert.deepEqual(await fourth.rest(), []);
});

test('two who look see the same', async () => {
  const work = await stepwise();
  const client = await stack.signUp();
  const { id } = await client.make();
  const both = [await Events.open(client, `/v1/jobs/${id}/events`), await Events.open(client, `/v1/jobs/${id}/events`)];
  await work.step(1);
  await work.finish();
  const [one, other] = await Promise.all(both.map((events) => events.rest()));
  assert.deepEqual(names(one), ['progress', 'preview', 'image', 'done']);
  assert.deepEqual(one, other);
});

test('a stream that is opened after the end says the picture and the end, also after a restart', async () => {
  await stack.stubNode();
  const client = await stack.signUp();
  const { id } = await client.make();
  const job = await client.over(id);
  const open = () => Events.open(client, `/v1/jobs/${id}/events`, { headers: { 'last-event-id': '0' } });
  const soon = (await (await open()).rest()).slice(-2);
  assert.deepEqual(names(soon), ['image', 'done']);
  assert.deepEqual(soon[1].data, job);

  await stack.killWorkerd();
  const later = await (await open()).rest();
  assert.deepEqual(later.map(({ name, data }) => [name, data]), soon.map(({ name, data }) => [name, data]));
});

test('a stream goes on after a restart, and its end comes', async () => {
  const work = await stepwise();
  const client = await stack.signUp();
  const { id } = await client.make();
  const path = `/v1/jobs/${id}/events`;
  const first = await Events.open(client, path);
  await work.step(1);
  const before = await first.take(2);
  await stack.killWorkerd();
  const second = await Events.open(client, path, { headers: { 'last-event-id': String(before.at(-1).id) } });
  await work.step(2);
  await work.finish();
  const after = await second.rest();
  assert.deepEqual(names(after), ['progress', 'preview', 'image', 'done']);
  assert.ok(after[0].id > before.at(-1).id);
});

test('a failure is told before the end', async () => {
  await stack.stubNode({ work: (stub, lease) => stub.end(lease, { outcome: 'refused', reason: 'the mask is empty' }) });
  const client = await stack.signUp();
  const seen = await (await Events.open(client, '/v1/images', { body: SMALL })).rest();
  assert.deepEqual(names(seen), ['error', 'done']);
  assert.deepEqual(seen[0].data, { code: 'failed', detail: 'the mask is empty' });
  assert.equal(seen[1].data.status, 'failed');
});

test('a cancelled job ends its stream', async () => {
  const work = await stepwise();
  const client = await stack.signUp();
  const { id } = await client.make();
  const events = await Events.open(client, `/v1/jobs/${id}/events`);
  await work.step(1);
  await events.take(2);
  await client.json('POST', `/v1/jobs/${id}/cancel`);
  const seen = await events.rest();
  assert.deepEqual(names(seen), ['done']);
  assert.equal(seen[0].data.status, 'cancelled');
});

test('previews are made only while somebody looks', async () => {
  const work = await stepwise({ slots: 1 });
  const client = await stack.signUp();
  const { id } = await client.make();
  const lease = await work.lease();
  const heard = async () => (await work.node.heard(lease)).previews;
  assert.equal(lease.previews, false);
  assert.equal(await heard(), false);
  const events = await Events.open(client, `/v1/jobs/${id}/events`);
  assert.equal(await heard(), true);
  events.close();
  await eventually('nobody looks any more', async () => !(await heard()));
});

test('the events of a job are its account\'s only', async () => {
  await stepwise();
  const [owner, stranger] = [await stack.signUp(), await stack.signUp()];
  const { id } = await owner.make();
  const answers = await Promise.all([id, 'job_none'].map((job) => stranger.call('GET', `/v1/jobs/${job}/events`)));
  assert.deepEqual(answers.map(({ status }) => status), [404, 404]);
  assert.deepEqual(answers[0].body, answers[1].body);
});

test('who waits is answered with the end when it comes in time, else with the job that was accepted', async () => {
  const work = await stepwise({ slots: 1 });
  const client = await stack.signUp();
  const early = await client.call('POST', '/v1/images', SMALL, { prefer: 'wait=1' });
  assert.equal(early.status, 202);
  assert.equal(early.headers.get('preference-applied'), 'wait');
  assert.equal(early.headers.get('location'), `/v1/jobs/${early.body.id}`);
  assert.ok(Number(early.headers.get('retry-after')) >= 1);
  assert.deepEqual(early.body.pictures, []);
  await work.finish();
  assert.equal((await client.over(early.body.id)).status, 'succeeded');
  await stack.stopStubs();

  await stack.stubNode({ delay: 300 });
  const waited = await client.call('POST', '/v1/images', { ...SMALL, prompt: 'a cat' }, { prefer: 'wait=60' });
  assert.equal(waited.status, 200);
  assert.equal(waited.headers.get('preference-applied'), 'wait');
  assert.equal(waited.body.status, 'succeeded');
  assert.deepEqual(waited.body, await client.json('GET', `/v1/jobs/${waited.body.id}`));
});

test('who wants a picture gets its bytes and its seed, or why there is none', async () => {
  const node = await stack.stubNode();
  const client = await stack.signUp();
  const picture = await client.call('POST', '/v1/images', { ...SMALL, seed: 4_711 }, { accept: 'image/png' });
  assert.equal(picture.status, 200);
  assert.equal(picture.headers.get('content-type'), 'image/png');
  assert.equal(picture.headers.get('seed'), '4711');
  assert.deepEqual(sizeOf(picture.body), [64, 64]);
  const job = await client.json('GET', picture.headers.get('location'));
  assert.deepEqual((await client.call('GET', job.pictures[0].url)).bytes, picture.bytes);

  node.work = (lease) => node.end(lease, { outcome: 'refused', reason: 'there is no such colour' });
  const refused = await client.call('POST', '/v1/images', { ...SMALL, prompt: 'a cat' }, { accept: 'image/png' });
  assert.match(refused.headers.get('content-type'), /^application\/problem\+json/);
  assert.match(refused.body.detail, /there is no such colour/);
  assert.equal((await client.json('GET', '/v1/usage')).credits, 19);
});
