// Keys, words and secrets are found where they belong, and nowhere else: planted, used in every way, and looked for everywhere.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Client, SMALL } from './support/client.mjs';
import { roomy } from './support/plans.mjs';
import { plain } from './support/png.mjs';
import { Receiver } from './support/receiver.mjs';
import { traces } from './support/residues.mjs';
import { Stack, eventually } from './support/stack.mjs';

const EVENTS = ['job.succeeded', 'job.failed', 'job.cancelled'];
const FORBIDDEN = 'mandragora';
const OLDER = { model_id: 'demo', width: '64', height: '64', num_inference_steps: '4' };

let receiver;
let stack;
let client;
let other;
/** What is looked for, by kind and name. */
const planted = { keys: {}, words: {}, secrets: {} };
/** Every answer that went to somebody else than the client. */
const toOthers = [];
before(async () => {
  receiver = await Receiver.start();
  stack = await Stack.start({ exceptions: [receiver.host], variables: { ...roomy(), BLOCKED_TERMS: FORBIDDEN } });
  client = await stack.signUp({ plan: 'enterprise', credits: 100 });
  other = await stack.signUp({ plan: 'enterprise', credits: 100 });
  const { adminToken, nodeToken, signingKey } = stack;
  Object.assign(planted.secrets, { adminToken, nodeToken, signingKey, 'signing key in bytes': Buffer.from(signingKey, 'hex') });
  planted.keys.first = client.key;
});
after(async () => {
  await stack?.stop();
  await receiver?.stop();
});

/** Words that stand nowhere else, kept under a name. */
function plant(name) {
  planted.words[name] = `canary-${randomBytes(12).toString('hex')}`;
  return planted.words[name];
}

/** All that is planted, under one name each. */
const everything = () => ({ ...planted.keys, ...planted.words, ...planted.secrets });

function isFree(what, text, needles = everything()) {
  const bytes = Buffer.from(text);
  const found = Object.entries(needles).filter(([, needle]) => bytes.includes(needle));
  assert.deepEqual(found.map(([name]) => name), [], what);
}

async function toOther(who, method, path, body) {
  const answer = await who.call(method, path, body);
  toOthers.push([`${method} ${path}`, `${[...answer.headers].join('\n')}\n${answer.bytes}`]);
  return answer;
}

/** A picture with everything in it that a client can say. */
const telling = (name) => ({
  prompt: `a dog ${plant(`prompt of ${name}`)}`,
  negative_prompt: plant(`negative prompt of ${name}`),
  track_id: plant(`track of ${name}`),
  webhook: receiver.url(`/hook?token=${plant(`token of ${name}`)}`),
});

test('pictures are made, told of and fetched', async () => {
  const hook = await client.json('POST', '/v1/webhooks', { url: receiver.url(`/own?token=${plant('token of an endpoint')}`), events: EVENTS });
  planted.secrets['secret of an endpoint'] = hook.secret;
  planted.secrets['secret of requests'] = (await client.json('GET', '/v1/webhooks')).request_secret;
  const headers = { 'idempotency-key': plant('an idempotency key') };
  const job = await client.over((await client.make(telling('a job'), headers)).id);
  assert.equal(job.status, 'succeeded');

  receiver.answer = (request, response) => response.end(request.path.startsWith('/pic') ? plain(64, 64) : '');
  const image = { url: receiver.url(`/pic.png?token=${plant('token of a picture')}`) };
  await client.over((await client.make({ ...telling('an edit'), task: 'edit', image })).id);
  const older = await client.modelslab('v6/images/text2img', { ...OLDER, ...telling('the older dialect') });
  assert.equal(older.body.status, 'success', JSON.stringify(older.body));
  await eventually('all are told', () => receiver.requests.filter(({ path }) => !path.startsWith('/pic')).length >= 6);
  for (const path of ['/v1/jobs', '/v1/usage', '/v1/account/export']) assert.equal((await client.call('GET', path)).status, 200);
});

test('keys are made, rotated and sent in every place', async () => {
  for (const [name, key] of Object.entries({
    second: { kind: 'secret', name: 'x' },
    publishable: { kind: 'publishable', origins: ['https://shop.example'] },
  })) {
    const made = await client.json('POST', '/v1/keys', key);
    planted.keys[name] = made.key;
    planted.keys[`${name}, rotated`] = (await client.json('POST', `/v1/keys/${made.id}/rotate`)).key;
  }
  planted.keys['of the other'] = other.key;
  const nobody = new Client(stack.url, null);
  for (const key of Object.values(planted.keys)) {
    await nobody.call('POST', '/api/wallet_balance', { key });
    await nobody.call('POST', `/api/wallet_balance?key=${key}`, {});
    await nobody.call('GET', `/v1/jobs?key=${key}`);
    await nobody.call('GET', `/v1/jobs/${key}`);
    await nobody.call('GET', `/nothing/${key}`);
    await nobody.call('GET', '/v1/jobs', undefined, { authorization: `Basic ${key}`, 'x-request-id': key, traceparent: key, 'x-api-key': key });
    await nobody.call('POST', '/v1/images', { ...SMALL, key, prompt: key });
    await new Client(stack.url, key).call('POST', '/admin/sweep', {});
    await new Client(stack.url, key).call('POST', '/node/v1/lease', {});
  }
});

test('requests fail in every way', async () => {
  const faulty = [
    { ...SMALL, ...telling('a wrong size'), width: 65 },
    { ...SMALL, ...telling('no model'), model: plant('a model') },
    { ...SMALL, ...telling('a blocked term'), prompt: `${FORBIDDEN} ${plant('prompt with a blocked term')}` },
    { ...SMALL, ...telling('an address inside'), webhook: `http://127.0.0.1:1/${plant('an address inside')}` },
    { ...SMALL, ...telling('no picture'), task: 'edit', image: { url: receiver.url('/none') } },
    { ...SMALL, ...telling('no base64'), task: 'edit', image: { base64: plant('base64') } },
    { ...SMALL, ...telling('an unknown field'), [plant('a field')]: plant('a value') },
  ];
  for (const request of faulty) {
    assert.equal((await client.call('POST', '/v1/images', request)).status, 422);
    await client.modelslab('v6/images/text2img', { ...OLDER, ...request, model_id: request.model ?? 'demo' });
  }
  for (const kind of ['application/json', 'text/plain', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded']) {
    const body = `{"key": "${client.key}", "prompt": "${plant(`a body of ${kind}`)}"`;
    assert.ok((await client.call('POST', '/v1/images', body, { 'content-type': kind })).status >= 400);
    await client.call('POST', '/api/v3/text2img', body, { 'content-type': kind });
  }
  for (const outcome of ['failed', 'refused']) {
    stack.stub.work = (lease) => stack.stub.end(lease, { outcome, reason: 'it cannot be drawn' });
    assert.equal((await client.over((await client.make(telling(`a job that ${outcome}`))).id)).status, 'failed');
  }
  stack.stub.work = (lease) => stack.stub.draw(lease);
  receiver.answer = 500;
  await client.over((await client.make(telling('a receiver that fails'))).id);
  receiver.answer = 204;
});

test('the runtime dies in the middle', async () => {
  stack.stub.work = () => new Promise(() => {});
  const { id } = await client.make(telling('a crash'));
  const waiting = client.call('POST', '/v1/images', { ...SMALL, ...telling('another crash') }, { prefer: 'wait=60' }).catch(() => null);
  await stack.killWorkerd();
  await waiting;
  await client.call('POST', `/v1/jobs/${id}/cancel`);
  stack.stub.work = (lease) => stack.stub.draw(lease);
});

test('strangers and operators ask for what they can', async () => {
  const [job] = (await client.json('GET', '/v1/jobs')).jobs;
  for (const path of ['/v1/jobs', `/v1/jobs/${job.id}`, '/v1/keys', '/v1/webhooks', '/v1/webhooks/deliveries', '/v1/account/export', '/v1/usage']) {
    await toOther(other, 'GET', path);
  }
  const open = ['/v1/models', '/v1/schedulers', '/openapi.json', '/livez', '/readyz', '/nothing'];
  for (const path of open) await toOther(new Client(stack.url, null), 'GET', path);
  await toOther(other, 'POST', '/api/v6/assets_generated', { key: other.key, type: 'image' });
  await toOther(stack.admin, 'GET', '/admin/pool');
  await toOther(stack.admin, 'POST', `/admin/accounts/${client.account}/grant`, { credits: 1 });
  await toOther(stack.admin, 'POST', '/admin/sweep', {});
  for (const [what, text] of toOthers) isFree(what, text);
});

test('a node learns what it must draw, and nothing else', () => {
  const { leases } = stack.stub;
  assert.ok(leases.length >= 6);
  const text = JSON.stringify(leases.map(({ handled, ...lease }) => lease));
  const prompts = Object.entries(planted.words).filter(([name]) => /^(negative )?prompt of (a job|an edit|the older dialect)$/.test(name));
  for (const [name, words] of prompts) assert.ok(text.includes(words), name);
  const drawn = Object.fromEntries(Object.entries(planted.words).filter(([name]) => /prompt/.test(name)));
  isFree('the leases', text, Object.fromEntries(Object.entries(everything()).filter(([name]) => !(name in drawn))));
});

test('a receiver learns no key and no secret', () => {
  assert.ok(receiver.requests.length > 6);
  for (const { path, headers, body } of receiver.requests) {
    isFree(path, `${JSON.stringify(headers)}${body}`, { ...planted.keys, ...planted.secrets });
  }
});

test('the owner is shown a key and a secret once', async () => {
  const later = { ...planted.keys, ...planted.secrets };
  delete later['secret of requests'];
  for (const path of ['/v1/keys', '/v1/webhooks', '/v1/webhooks/deliveries', '/v1/account', '/v1/account/export', '/v1/jobs', '/v1/usage']) {
    const { bytes, headers } = await client.call('GET', path);
    isFree(path, `${[...headers]}${bytes}`, later);
    for (const [name, key] of Object.entries(planted.keys)) {
      assert.ok(!bytes.includes(createHash('sha256').update(key).digest('hex')), `the hash of the key ${name} in ${path}`);
    }
  }
});

/** The prompts of this job alone: its picture says how it was made, as web UIs write it, to whoever its owner gives the link. */
const inPicture = (name) => ['prompt', 'negative prompt'].map((what) => `${what} of ${name}`);

test('a real node draws and logs, and a picture says no more than how it was made', async () => {
  await stack.stopStubs();
  await stack.startNode();
  const { id } = await client.make({ ...telling('a real node'), steps: 2 });
  const job = await client.over(id);
  assert.equal(job.status, 'succeeded', JSON.stringify(job));
  const { bytes } = await client.call('GET', job.pictures[0].url);
  const others = Object.entries(everything()).filter(([name]) => !inPicture('a real node').includes(name));
  isFree('the picture', bytes, Object.fromEntries(others));
  assert.ok((await client.call('POST', '/v1/images', { ...SMALL, ...telling('a real failure'), scheduler: 'no-such' })).status === 422);
  await stack.stopNode();
});

test('no log has any of it', async () => {
  const log = await stack.log();
  assert.match(log, /job over/, 'there is a log');
  assert.match(log, new RegExp(client.account), 'which says whose job it was');
  isFree('the logs', log);
});

test('keys are stored nowhere, words and secrets with their account alone', () => {
  assert.deepEqual(traces(stack, planted.keys), []);
  const hash = { hash: createHash('sha256').update(client.key).digest('hex') };
  const homes = new Set(traces(stack, hash).map((text) => text.replace(/^hash in (.*\/[0-9a-f]{64})\.sqlite.*/, '$1')));
  assert.equal(homes.size, 1, 'the hash of a key is in the rows of one account');
  const [home] = homes;
  assert.match(home, /^do\/darkroom-Account\//);
  const isOwn = (text) => text.includes(home) || inPicture('a real node').some((name) => text.startsWith(`${name} in r2/darkroom-pictures/blobs/`));
  assert.deepEqual(traces(stack, { ...planted.words, ...planted.secrets }).filter((text) => !isOwn(text)), []);

  const { adminToken, nodeToken, signingKey } = stack;
  assert.deepEqual(traces(stack, { adminToken, nodeToken, signingKey }), []);
  for (const name of ['a job', 'an edit', 'the older dialect']) {
    const prompt = `prompt of ${name}`;
    assert.ok(traces(stack, { prompt: planted.words[prompt] }).length > 0, `${prompt} is kept for its owner`);
  }
});

test('no file of the installation and no command line has a token or a key', () => {
  const needles = { ...planted.keys, ...planted.secrets };
  for (const entry of readdirSync(join(stack.state, 'edge'), { withFileTypes: true })) {
    if (entry.isFile()) isFree(entry.name, readFileSync(join(stack.state, 'edge', entry.name)), needles);
  }
  if (!existsSync('/proc/self/cmdline')) return;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const line = (() => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`);
      } catch {
        return '';
      }
    })();
    isFree(`the command line of ${pid}`, line, needles);
  }
});
