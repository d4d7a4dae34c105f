// Who may do what: every operation of the published document, asked with every kind of key that is not the right one.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { Client, SMALL } from './support/client.mjs';
import { roomy } from './support/plans.mjs';
import { plain } from './support/png.mjs';
import { Receiver } from './support/receiver.mjs';
import { Stack, eventually } from './support/stack.mjs';

const { paths } = JSON.parse(readFileSync(new URL('../../static/openapi.json', import.meta.url)));
const ORIGIN = 'https://shop.example';
const EVENTS = ['job.succeeded', 'job.failed', 'job.cancelled'];
const PICTURE = plain(64, 64, [1, 2, 3]);

/** Every operation whose path begins so: `{method, path, isOpen, statuses}`. */
function operations(prefix) {
  return Object.entries(paths)
    .filter(([path]) => path.startsWith(prefix))
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { security = [], responses }]) => ({
        method: method.toUpperCase(),
        path,
        isOpen: security.length === 0,
        statuses: Object.keys(responses).map(Number),
      })),
    );
}

const OURS = operations('/v1/');
const KEYED = OURS.filter(({ isOpen }) => !isOpen);
const named = ({ method, path }) => `${method} ${path}`;
const scopeOf = ({ path }) => (/^\/v1\/(images|jobs|uploads)/.test(path) ? 'images' : 'account');
const kindOf = ({ path }) => /^\/v1\/(?:webhooks\/)?(\w+)\/\{id\}/.exec(path)?.[1];

let stack;
let receiver;
/** What each operation with a body is sent. */
let bodies;
/** One account with one thing of every kind, and its dead or weak keys. */
let owner;
let credentials;

before(async () => {
  receiver = await Receiver.start();
  stack = await Stack.start({ exceptions: [receiver.host], variables: roomy() });
  bodies = {
    'POST /v1/accounts': {},
    'POST /v1/images': SMALL,
    'POST /v1/images/estimate': SMALL,
    'POST /v1/uploads': PICTURE,
    'POST /v1/keys': { kind: 'secret', name: 'another' },
    'POST /v1/webhooks': { url: receiver.url('/another'), events: EVENTS },
  };
  owner = await rich();
  credentials = await strangers(owner);
});
after(async () => {
  await stack?.stop();
  await receiver?.stop();
});

/** An account that nothing but its key holds back. */
const rich = () => stack.signUp({ plan: 'enterprise', credits: 1_000 });

const newKey = (client, key) => client.json('POST', '/v1/keys', key);

/** A new thing of the kind that stands in a path, and its id. */
const CREATE = {
  jobs: async (client) => (await client.over((await client.make()).id)).id,
  keys: async (client) => (await newKey(client, { kind: 'secret' })).id,
  uploads: async (client) => (await client.json('POST', '/v1/uploads', PICTURE)).id,
  webhooks: async (client) => (await client.json('POST', '/v1/webhooks', { url: receiver.url('/hook'), events: EVENTS })).id,
  async deliveries(client) {
    const webhook = await CREATE.webhooks(client);
    await CREATE.jobs(client);
    const { deliveries } = await eventually('a delivery is over', async () => {
      const list = await client.json('GET', '/v1/webhooks/deliveries');
      return list.deliveries[0]?.status === 'delivered' && list;
    });
    await client.json('DELETE', `/v1/webhooks/${webhook}`).catch(() => null);
    return deliveries[0].id;
  },
};

/** Every credential that is not simply the owner's: key, origin, and what it is answered for an operation. */
async function strangers(owner) {
  const account = { kind: 'secret', scopes: ['account'] };
  const images = { kind: 'secret', scopes: ['images'] };
  const publishable = { kind: 'publishable', origins: [ORIGIN] };
  const rotated = await newKey(owner, account);
  await owner.json('POST', `/v1/keys/${rotated.id}/rotate`);
  const revoked = await newKey(owner, account);
  await owner.call('DELETE', `/v1/keys/${revoked.id}`);
  const suspended = await rich();
  await stack.admin.json('POST', `/admin/accounts/${suspended.account}/suspend`, {});
  const deleted = await rich();
  assert.equal((await deleted.call('DELETE', '/v1/account')).status, 202);
  const { key: pk } = await newKey(owner, publishable);

  const never = (status) => () => status;
  const only = (scope) => (operation) => (scopeOf(operation) === scope ? null : 403);
  return {
    'no key': { key: null, expected: never(401) },
    'an empty key': { key: ' ', expected: never(401) },
    'a malformed key': { key: 'sk_live_short', expected: never(401) },
    'a key with a wrong checksum': { key: owner.key.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a')), expected: never(401) },
    'a rotated key': { key: rotated.key, expected: never(401) },
    'a deleted key': { key: revoked.key, expected: never(401) },
    'a key of a suspended account': { key: suspended.key, expected: never(403) },
    'a key of a deleted account': { key: deleted.key, expected: never(401) },
    'a key without the scope for the account': { key: (await newKey(owner, images)).key, expected: only('images') },
    'a key without the scope for pictures': { key: (await newKey(owner, account)).key, expected: only('account') },
    'a publishable key on its page': { key: pk, origin: ORIGIN, expected: only('images') },
    'a publishable key on another page': { key: pk, origin: 'https://shop.example.evil.example', expected: never(403) },
    'a publishable key on no page': { key: pk, expected: never(403) },
    'the admin token': { key: stack.adminToken, expected: never(401) },
    'the node token': { key: stack.nodeToken, expected: never(401) },
  };
}

function ask(key, { method, path }, id = 'none', headers = {}) {
  const client = new Client(stack.url, key);
  return client.call(method, path.replace('{id}', id), bodies[`${method} ${path}`], headers);
}

/** All of an answer that may tell one thing from another. */
function shape({ status, headers, body }) {
  const told = [...headers].filter(([name]) => !['x-request-id', 'date', 'ratelimit'].includes(name));
  return { status, headers: told, body: Buffer.isBuffer(body) ? body.toString() : body };
}

test('the document names every operation, and this test knows how to ask it', () => {
  assert.ok(KEYED.length >= 22, `${KEYED.length} operations need a key`);
  assert.deepEqual(OURS.filter(({ isOpen }) => isOpen).map(named).sort(), ['GET /v1/models', 'GET /v1/schedulers', 'POST /v1/accounts']);
  for (const operation of KEYED) {
    const { method, path } = operation;
    assert.equal(path.includes('{id}'), kindOf(operation) in CREATE, named(operation));
    assert.ok(method !== 'POST' || path.includes('{id}') || named(operation) in bodies, named(operation));
  }
});

test('every operation answers its owner', async () => {
  for (const operation of KEYED.filter((one) => named(one) !== 'DELETE /v1/account')) {
    const kind = kindOf(operation);
    const { status, body } = await ask(owner.key, operation, kind && (await CREATE[kind](owner)));
    assert.ok(status < 300 && operation.statuses.includes(status), `${named(operation)} is answered ${status}: ${JSON.stringify(body)}`);
  }
});

test('every operation refuses every other key as it should', async () => {
  let count = 0;
  const ids = Object.fromEntries(await Promise.all(Object.entries(CREATE).map(async ([kind, create]) => [kind, await create(owner)])));
  for (const [what, { key, origin, expected }] of Object.entries(credentials)) {
    for (const operation of KEYED) {
      const status = expected(operation);
      if (status === null) continue;
      const answer = await ask(key, operation, ids[kindOf(operation)], origin && { origin });
      const where = `${named(operation)} with ${what}: ${JSON.stringify(answer.body)}`;
      assert.equal(answer.status, status, where);
      assert.match(answer.headers.get('content-type'), /^application\/problem\+json/, where);
      assert.ok(operation.statuses.includes(status), where);
      count += 1;
    }
  }
  assert.ok(count > 250, `${count} pairs`);
  for (const [kind, id] of Object.entries(ids)) {
    const operation = KEYED.find((one) => kindOf(one) === kind && ['DELETE', 'POST'].includes(one.method));
    assert.ok((await ask(owner.key, operation, id)).status < 300, `the ${kind} are still there`);
  }
});

test('keys of one scope can do what the scope is for', async () => {
  for (const [what, { key, origin, expected }] of Object.entries(credentials)) {
    const allowed = KEYED.filter((one) => expected(one) === null && one.method === 'GET' && !one.path.includes('{id}'));
    for (const operation of allowed) {
      const { status } = await ask(key, operation, undefined, origin && { origin });
      assert.equal(status, 200, `${named(operation)} with ${what}`);
    }
  }
});

test('what is of another account is answered as what there is not, byte for byte', async () => {
  const other = await rich();
  for (const operation of KEYED.filter(({ path }) => path.includes('{id}'))) {
    const foreign = await CREATE[kindOf(operation)](owner);
    const missing = foreign.replace(/[0-9a-f]{32}$/, randomBytes(16).toString('hex'));
    assert.notEqual(foreign, missing);
    const [one, two] = [await ask(other.key, operation, foreign), await ask(other.key, operation, missing)];
    assert.equal(one.status, 404, named(operation));
    assert.deepEqual(shape(one), shape(two), named(operation));
    const [control] = [await ask(owner.key, operation, foreign)];
    assert.ok(control.status < 300, `${named(operation)} is answered ${control.status} to its owner`);
  }
});

test('lists and requests of another account have nothing of the owner', async () => {
  const other = await rich();
  const [job, upload] = [await CREATE.jobs(owner), await CREATE.uploads(owner)];
  for (const path of ['/v1/jobs', '/v1/keys', '/v1/webhooks', '/v1/webhooks/deliveries', '/v1/account/export']) {
    const { bytes } = await other.call('GET', path);
    assert.ok(!bytes.includes(owner.account) && !bytes.includes(job), path);
  }
  const missing = (id) => id.replace(/[0-9a-f]{32}$/, randomBytes(16).toString('hex'));
  const page = (id) => other.call('GET', `/v1/jobs?before=${id}`);
  assert.deepEqual(shape(await page(job)), shape(await page(missing(job))));
  const upscale = (id) => other.call('POST', '/v1/images', { task: 'upscale', model: 'demo', image: { upload: id } });
  const refused = await upscale(upload);
  assert.equal(refused.status, 422);
  assert.deepEqual(shape(refused), shape(await upscale(missing(upload))));
});

test('a key cannot be given more than its kind may have', async () => {
  const refused = [
    { kind: 'publishable', origins: [ORIGIN], scopes: ['account'] },
    { kind: 'publishable' },
    { kind: 'publishable', origins: ['*'] },
    { kind: 'secret', scopes: ['admin'] },
    { kind: 'secret', plan: 'premium' },
    { kind: 'secret', account: 'acc_0000000000000000' },
  ];
  for (const key of refused) {
    const { status, body } = await owner.call('POST', '/v1/keys', key);
    assert.equal(status, 422, `${JSON.stringify(key)}: ${JSON.stringify(body)}`);
  }
});

test('what an account is cannot be said by its requests', async () => {
  const client = await stack.signUp();
  const before = await client.json('GET', '/v1/usage');
  for (const more of [{ plan: 'premium' }, { credits: 1e9 }, { price: 0 }, { account: owner.account }, { node: 'x' }]) {
    assert.equal((await client.call('POST', '/v1/images', { ...SMALL, ...more })).status, 422, JSON.stringify(more));
    assert.equal((await client.call('POST', '/v1/accounts', more)).status, 422, JSON.stringify(more));
    await client.modelslab('wallet_balance', more);
  }
  assert.deepEqual(await client.json('GET', '/v1/usage'), before);
});

test('operators and nodes have calls of their own, which no key opens', async () => {
  const admin = operations('/admin/').map(({ method, path }) => [method, path.replace('{id}', owner.account)]);
  const job = `/node/v1/jobs/${owner.account}/1`;
  const node = [
    ['POST', '/node/v1/lease'],
    ['GET', `${job}/inputs/image?epoch=1`],
    ['POST', `${job}/events`],
    ['PUT', `${job}/pictures/0?epoch=1`],
    ['POST', `${job}/end`],
    ['GET', '/node/v1/nothing'],
    ['GET', '/admin/nothing'],
  ];
  assert.ok(admin.length >= 6);
  const keys = { ...Object.fromEntries(Object.entries(credentials).map(([what, { key }]) => [what, key])), 'its own key': owner.key };
  for (const [what, key] of Object.entries(keys)) {
    for (const [method, path] of [...admin, ...node]) {
      const isRight = (what === 'the admin token' && path.startsWith('/admin')) || (what === 'the node token' && path.startsWith('/node'));
      if (isRight) continue;
      const { status } = await new Client(stack.url, key).call(method, path, ['GET', 'HEAD'].includes(method) ? undefined : {});
      assert.equal(status, 401, `${method} ${path} with ${what}`);
    }
  }
  assert.equal((await stack.admin.call('GET', '/admin/pool')).status, 200);
  assert.equal((await stack.admin.call('POST', '/admin/accounts/acc_0000000000000000/grant', { credits: 1 })).status, 404);
  assert.equal((await new Client(stack.url, stack.nodeToken).call('GET', `${job}/inputs/image?epoch=99`)).status, 409);
  assert.equal((await new Client(stack.url, stack.nodeToken).call('GET', '/node/v1/jobs/acc_0000000000000000/1/inputs/image?epoch=1')).status, 404);
});

/** A call with a body whatever the method is; the parsed answer. */
function sent(method, path, headers, body) {
  return new Promise((settle, fail) => {
    const request = http.request(`${stack.url}${path}`, { method, headers: { 'content-length': Buffer.byteLength(body), ...headers } });
    request.once('error', fail);
    request.once('response', async (response) => {
      const pieces = [];
      for await (const piece of response) pieces.push(piece);
      settle({ status: response.statusCode, body: JSON.parse(Buffer.concat(pieces)) });
    });
    request.end(body);
  });
}

const JSON_TYPE = { 'content-type': 'application/json' };
/** Where clients of the older dialect put their key. */
const POSITIONS = {
  'in the body': (key) => ['POST', '', JSON_TYPE, JSON.stringify({ key })],
  'in the body of a GET': (key) => ['GET', '', JSON_TYPE, JSON.stringify({ key })],
  'in a body that says no type': (key) => ['POST', '', {}, JSON.stringify({ key })],
  'in a form': (key) => ['POST', '', { 'content-type': 'application/x-www-form-urlencoded' }, new URLSearchParams({ key }).toString()],
  'in a form of parts': (key) => [
    'POST',
    '',
    { 'content-type': 'multipart/form-data; boundary=XX' },
    `--XX\r\nContent-Disposition: form-data; name="key"\r\n\r\n${key}\r\n--XX--\r\n`,
  ],
  'in the header key': (key) => ['POST', '', { ...JSON_TYPE, key }, '{}'],
  'in x-api-key': (key) => ['POST', '', { ...JSON_TYPE, 'x-api-key': key }, '{}'],
  'as a bearer': (key) => ['POST', '', { ...JSON_TYPE, authorization: `Bearer ${key}` }, '{}'],
  'in the query': (key) => ['POST', `?key=${encodeURIComponent(key)}`, JSON_TYPE, '{}'],
  'in the query of a GET': (key) => ['GET', `?key=${encodeURIComponent(key)}`, {}, ''],
};

const TIP =
  '1. Make sure you are passing Content-Type: application/json in header. 2. Make sure you are doing POST request with valid JSON. ' +
  '3. Make sure your JSON does not have error, use jsonlint to validate json array. 4. Make sure you have valid API key.';
const INVALID = { status: 'error', message: 'Invalid Api Key', messege: 'Invalid Api Key', tip: TIP };

test('the older dialect takes a key wherever clients put it, and refuses a wrong one there', async () => {
  for (const [where, at] of Object.entries(POSITIONS)) {
    const call = (key, headers = {}) => {
      const [method, query, own, body] = at(key);
      return sent(method, `/api/wallet_balance${query}`, { ...own, ...headers }, body);
    };
    const good = await call(owner.key);
    assert.equal(good.status, 200, where);
    assert.equal(good.body.status, 'success', `${where}: ${JSON.stringify(good.body)}`);
    for (const [what, { key, origin }] of Object.entries(credentials)) {
      const { status, body } = await call(key ?? '', origin && { origin });
      assert.equal(status, 200);
      if (what === 'a key without the scope for the account' || what === 'a publishable key on its page') {
        assert.equal(body.status, 'success', `${what} ${where}`);
      } else if (/suspended|scope|publishable/.test(what)) {
        assert.equal(body.status, 'error', `${what} ${where}`);
        assert.match(body.message, /suspended|scope|pages/, `${what} ${where}`);
      } else {
        assert.deepEqual(body, INVALID, `${what} ${where}`);
      }
    }
  }
});

test('no call of the older dialect works without a good key', async () => {
  const base64 = PICTURE.toString('base64');
  const complete = {
    ...{ prompt: 'a dog', width: '64', height: '64', samples: '1', id: 1, request_id: 1, image_id: 1 },
    ...{ init_image: base64, mask_image: base64, image: base64, url: base64, base64_string: base64, crop: false, type: 'image' },
  };
  const filled = (path, what) => {
    // Enlarging has models of its own, and takes the first.
    const model = path.endsWith('super_resolution') ? {} : { model_id: 'demo' };
    return new Client(stack.url, null).call('POST', path, { ...complete, ...model, key: credentials[what].key });
  };
  const calls = operations('/api/').map(({ path }) => path.replace('{id}', '1'));
  assert.ok(calls.length >= 50, `${calls.length} calls`);
  const dead = ['a malformed key', 'a key with a wrong checksum', 'a rotated key', 'a key of a deleted account', 'the admin token'];
  for (const path of calls) {
    assert.deepEqual((await new Client(stack.url, null).call('POST', path, {})).body, INVALID, path);
    for (const what of dead) {
      const { status, body } = await filled(path, what);
      assert.equal(status, 200);
      assert.deepEqual(body, INVALID, `${path} with ${what}`);
    }
    const { body } = await filled(path, 'a key of a suspended account');
    assert.match(body.message, /suspended/, path);
  }
});
