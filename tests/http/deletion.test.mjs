// What is deleted is gone: at once for whoever has its link, and soon from everything that is kept.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, SMALL } from './support/client.mjs';
import { objects } from './support/objects.mjs';
import { plain } from './support/png.mjs';
import { Receiver } from './support/receiver.mjs';
import { remains, traces } from './support/residues.mjs';
import { Stack, eventually } from './support/stack.mjs';

const EVENTS = ['job.succeeded', 'job.failed', 'job.cancelled'];
const SHORT = { KEPT_SECONDS: '8', KEPT_TEMPORARY_SECONDS: '4', KEPT_INPUTS_SECONDS: '1' };
const OLDER = { model_id: 'demo', width: '64', height: '64', num_inference_steps: '4' };

let receiver;
let stack;
/** Where things are not kept for long. */
let forgetful;
before(async () => {
  receiver = await Receiver.start();
  stack = await Stack.start({ exceptions: [receiver.host] });
  forgetful = await Stack.start({ exceptions: [receiver.host], variables: SHORT });
});
after(async () => {
  await stack?.stop();
  await forgetful?.stop();
  await receiver?.stop();
});

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const anyone = (url) => new Client(url, null).call('GET', url);
const link = async (url) => (await anyone(url)).status;

/** A picture of which there is no second one. */
let tint = 0;
const unique = () => plain(64, 64, [200, (tint += 1) >> 8, tint & 255]);

/** Words that stand nowhere else. */
const words = (what) => `${what} ${Math.random().toString(36).slice(2)} in the rain`;

test('a deleted job has no pictures from then on, and no words', async () => {
  const client = await stack.signUp();
  const prompt = words('a heron');
  const job = await client.over((await client.make({ prompt, negative_prompt: prompt, track_id: prompt, seed: 4711 })).id);
  const [{ url }] = job.pictures;
  assert.equal(await link(url), 200);
  assert.equal((await client.call('DELETE', `/v1/jobs/${job.id}`)).status, 204);
  assert.equal(await link(url), 404);
  const left = await client.json('GET', `/v1/jobs/${job.id}`);
  assert.deepEqual([left.status, left.pictures, left.expires_at], ['succeeded', [], null]);
  assert.deepEqual(objects(stack, `${client.account}/`), []);
  assert.ok(!JSON.stringify(await client.json('GET', '/v1/account/export')).includes(prompt));
  assert.equal((await client.call('DELETE', `/v1/jobs/${job.id}`)).status, 204, 'a second time changes nothing');
});

test('the older dialect deletes the pictures of a job', async () => {
  const client = await stack.signUp({ plan: 'basic', credits: 5 });
  const { body: made } = await client.modelslab('v6/images/text2img', { ...OLDER, prompt: words('an owl') });
  assert.equal(made.status, 'success', JSON.stringify(made));
  assert.equal(await link(made.output[0]), 200);
  const { body } = await client.modelslab('v3/delete_image', { request_id: made.id, type: 'image' });
  assert.equal(body.status, 'success', JSON.stringify(body));
  assert.equal(await link(made.output[0]), 404);
  assert.equal((await client.modelslab(`v6/images/fetch/${made.id}`)).body.status, 'error');
  assert.deepEqual(objects(stack, `${client.account}/`), []);
});

/** What `act` returns, which the stub does with a job of this client instead of drawing. */
async function whileRunning(client, act) {
  const acted = new Promise((settle, fail) => {
    stack.stub.work = (lease) => act(lease).then(settle, fail);
  });
  const { id } = await client.make();
  const found = await acted;
  stack.stub.work = (lease) => stack.stub.draw(lease);
  return [id, found];
}

test('a running job that is deleted is refunded, and what its node still says is not kept', async () => {
  const client = await stack.signUp();
  const [id, statuses] = await whileRunning(client, async (lease) => {
    const { bytes } = stack.stub.picture(lease, 0);
    const first = await stack.stub.upload(lease, 0, bytes);
    const [job] = (await client.json('GET', '/v1/jobs')).jobs;
    const { status } = await client.call('DELETE', `/v1/jobs/${job.id}`);
    return [first, status, await stack.stub.upload(lease, 0, bytes), await stack.stub.report(lease)];
  });
  assert.deepEqual(statuses, [204, 204, 409, 409]);
  assert.equal((await client.json('GET', `/v1/jobs/${id}`)).status, 'cancelled');
  assert.equal((await client.json('GET', '/v1/usage')).credits, 20);
  assert.deepEqual(objects(stack, `${client.account}/`), []);
});

/** A body of which the second half comes when `rest` does. */
function inHalves(bytes, rest) {
  return new ReadableStream({
    async start(controller) {
      controller.enqueue(bytes.subarray(0, 50));
      await rest;
      controller.enqueue(bytes.subarray(50));
      controller.close();
    },
  });
}

test('a picture that arrives while its job is deleted is not kept either', async () => {
  const client = await stack.signUp();
  const [, status] = await whileRunning(client, async ({ account, job, epoch, ...lease }) => {
    const { bytes } = stack.stub.picture(lease, 0);
    const [{ id }] = (await client.json('GET', '/v1/jobs')).jobs;
    let finish;
    const body = inHalves(bytes, new Promise((now) => (finish = now)));
    const headers = { authorization: `Bearer ${stack.nodeToken}`, 'x-darkroom-sha256': sha256(bytes) };
    const path = `/node/v1/jobs/${account}/${job}/pictures/0?epoch=${epoch}`;
    const uploading = fetch(`${stack.url}${path}`, { method: 'PUT', headers, body, duplex: 'half' });
    // Its lease was found good before its last byte is there.
    await sleep(200);
    await client.call('DELETE', `/v1/jobs/${id}`);
    finish();
    return (await uploading).status;
  });
  assert.equal(status, 409);
  assert.deepEqual(objects(stack, `${client.account}/`), []);
});

test('inputs go with the job that they came with, uploads stay', async () => {
  const client = await stack.signUp();
  const upload = await client.json('POST', '/v1/uploads', unique());
  const image = { base64: unique().toString('base64') };
  await client.over((await client.make({ task: 'edit', image })).id);
  await client.over((await client.make({ task: 'edit', image: { upload: upload.id } })).id);
  await eventually('the input is gone', () => objects(stack, `${client.account}/inputs/`).length === 0);
  assert.equal(objects(stack, `${client.account}/uploads/`).length, 1);
  assert.equal((await client.call('DELETE', `/v1/uploads/${upload.id}`)).status, 204);
  assert.deepEqual(objects(stack, `${client.account}/uploads/`), []);
});

test('what is over its time goes by itself, temporary things first, until no row is left', async () => {
  const client = await forgetful.signUp({ plan: 'basic', credits: 5 });
  const prompts = [words('a fox'), words('a hare')];
  const kept = await client.over((await client.make({ prompt: prompts[0], webhook: receiver.url('/kept') })).id);
  const temporary = await client.over((await client.make({ prompt: prompts[1], temporary: true })).id);
  await client.json('POST', '/v1/uploads', unique());
  const ends = [kept, temporary].map(({ expires_at }) => Date.parse(expires_at));
  assert.ok(ends[1] < ends[0], 'the temporary one goes first');

  await eventually('the temporary one is gone', async () => (await link(temporary.pictures[0].url)) === 404);
  await eventually('the other is gone', async () => (await link(kept.pictures[0].url)) === 404);
  await eventually('no row is left', async () => {
    await forgetful.admin.json('POST', '/admin/sweep', {});
    const { jobs, uploads, deliveries } = await client.json('GET', '/v1/account/export');
    return jobs.length + uploads.length + deliveries.length === 0;
  });
  assert.equal((await client.call('GET', `/v1/jobs/${kept.id}`)).status, 404);
  assert.deepEqual(objects(forgetful, `${client.account}/`), []);
  const hashes = [kept, temporary].map(({ pictures }) => pictures[0].sha256);
  assert.deepEqual(remains(forgetful, { fox: prompts[0], hare: prompts[1], 'a hash': hashes[0], 'another hash': hashes[1] }), []);
});

test('an input whose request was never taken is swept, one whose job still waits is not', async () => {
  await forgetful.stopStubs();
  const waiting = await forgetful.signUp();
  const input = unique();
  const { id } = await waiting.make({ task: 'edit', image: { base64: input.toString('base64') } });
  assert.equal(objects(forgetful, `${waiting.account}/inputs/`).length, 1);

  receiver.answer = 'silent';
  const client = await forgetful.signUp();
  const image = { base64: unique().toString('base64') };
  const asking = client.call('POST', '/v1/images', { ...SMALL, task: 'inpaint', image, mask: { url: receiver.url('/never') } }).catch(() => null);
  await eventually('the first input is stored', () => objects(forgetful, `${client.account}/inputs/`).length === 1);
  await forgetful.killWorkerd();
  receiver.answer = 204;
  assert.equal(await asking, null);
  await eventually('the orphan is swept', async () => {
    await forgetful.admin.json('POST', '/admin/sweep', {});
    return objects(forgetful, `${client.account}/`).length === 0;
  });
  assert.equal((await client.json('GET', '/v1/usage')).credits, 20);

  assert.equal(objects(forgetful, `${waiting.account}/inputs/`).length, 1);
  let got = null;
  await forgetful.stubNode({ work: async (stub, lease) => ((got = await stub.input(lease, 'image')), stub.draw(lease)) });
  assert.equal((await waiting.over(id)).status, 'succeeded');
  assert.ok(got.equals(input));
});

/** An account with something in every store, and all that could be found of it. */
async function settled(owner) {
  const client = await owner.signUp({ plan: 'basic', credits: 20 });
  const prompt = words('a swan');
  await client.json('POST', '/v1/webhooks', { url: receiver.url(`/of/${client.account}?`), events: EVENTS });
  await client.json('POST', '/v1/keys', { kind: 'publishable', origins: ['https://swan.example'], name: prompt });
  const upload = unique();
  await client.json('POST', '/v1/uploads', upload);
  const { body } = await client.modelslab('v6/base64_to_url', { base64_string: unique().toString('base64') });
  const seed = Math.floor(Math.random() * 2 ** 31);
  const job = await client.over((await client.make({ prompt, seed }, { 'idempotency-key': prompt.replaceAll(' ', '-') })).id);
  const { body: picture } = await anyone(job.pictures[0].url);
  await eventually('it is told of', () => receiver.requests.some(({ path }) => path === `/of/${client.account}?`));
  return {
    client,
    links: [job.pictures[0].url, body.output[0] ?? body.output],
    contents: { prompt, picture, upload, job: job.id, address: `/of/${client.account}?`, 'hash of the key': sha256(client.key) },
    names: { account: client.account, 'hash of the picture': job.pictures[0].sha256, 'hash of the upload': sha256(upload) },
  };
}

/**
 * Waits until nothing of an account is kept. What it had and said must not be found in any byte of any file: with its rows, the
 * runtime deletes the whole file. Its name and its hashes were also rows among those of others, whose free pages neither the
 * runtime nor its simulation of R2 lets anyone overwrite; there, no row may be left.
 */
async function isGone(owner, { client, contents, names }) {
  await eventually('its files are gone', () => objects(owner, `${client.account}/`).length === 0);
  const left = () => [...traces(owner, contents), ...remains(owner, names)];
  await eventually('nothing is left', () => left().length === 0).catch(() => assert.deepEqual(left(), []));
}

test('a deleted account is dead at once, and nothing of it is left in any store', async () => {
  const all = await settled(stack);
  const { client, links, contents, names } = all;
  const isKept = (found) => [...new Set(found.map((text) => text.split(' in ')[0]))].sort();
  assert.deepEqual(isKept(traces(stack, contents)), Object.keys(contents).sort(), 'all of it is kept before');
  assert.deepEqual(isKept(remains(stack, names)), Object.keys(names).sort());
  for (const url of links) assert.equal(await link(url), 200, url);

  assert.equal((await client.call('DELETE', '/v1/account')).status, 202);
  assert.equal((await client.call('GET', '/v1/usage')).status, 401);
  for (const url of links) assert.equal(await link(url), 404, url);
  assert.equal((await client.call('POST', '/v1/images', SMALL)).status, 401);
  assert.equal((await stack.admin.call('POST', `/admin/accounts/${client.account}/grant`, { credits: 1 })).status, 404);
  await isGone(stack, all);
});

test('a deletion that is cut off goes on by itself', async () => {
  for (const pause of [0, 5, 20, 60]) {
    const all = await settled(stack);
    assert.equal((await all.client.call('DELETE', '/v1/account')).status, 202);
    await sleep(pause);
    await stack.killWorkerd();
    for (const url of all.links) assert.equal(await link(url), 404, `after ${pause} ms: ${url}`);
    assert.equal((await all.client.call('GET', '/v1/usage')).status, 401);
    // Killed, the simulation of R2 may leave the bytes of a file whose row it has deleted.
    const { picture, upload, ...contents } = all.contents;
    await isGone(stack, { ...all, contents });
  }
});

test('a deletion with jobs under way ends them, and their nodes are not heard', async () => {
  const client = await stack.signUp();
  const held = [];
  stack.stub.work = (lease) => new Promise(() => held.push(lease));
  await client.make({ prompt: words('a crow') });
  const lease = await eventually('the node has it', () => held[0]);
  assert.equal((await client.call('DELETE', '/v1/account')).status, 202);
  const { bytes, made } = stack.stub.picture(lease, 0);
  for (const status of [
    await stack.stub.report(lease),
    await stack.stub.upload(lease, 0, bytes),
    await stack.stub.end(lease, { outcome: 'done', pictures: [made], seconds: 1, batch: 1 }),
  ]) {
    assert.ok([404, 409].includes(status), `${status}`);
  }
  stack.stub.work = (one) => stack.stub.draw(one);
  await eventually('nothing is stored', () => objects(stack, `${client.account}/`).length === 0);
});
