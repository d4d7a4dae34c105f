// From a request to a picture behind a link, with a node that draws nothing.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Client, SMALL } from './support/client.mjs';
import { sizeOf } from './support/png.mjs';
import { Stack } from './support/stack.mjs';

let stack;
before(async () => {
  stack = await Stack.start();
});
after(() => stack?.stop());

test('a new account has a key of the announced form and its free credits', async () => {
  const { status, headers, body } = await new Client(stack.url, null).call('POST', '/v1/accounts', {});
  assert.equal(status, 201);
  assert.match(body.account, /^acc_/);
  assert.match(body.key, /^sk_live_/);
  assert.equal(body.credits, 20);
  assert.ok(headers.get('x-request-id'));

  const usage = await new Client(stack.url, body.key).json('GET', '/v1/usage');
  assert.equal(usage.plan, 'free');
  assert.equal(usage.credits, 20);
  assert.equal(usage.held, 0);
});

test('an accepted job becomes a picture, and its link answers with exactly that picture', async () => {
  const client = await stack.signUp();
  const accepted = await client.call('POST', '/v1/images', { ...SMALL, seed: 7 });
  assert.equal(accepted.status, 202, JSON.stringify(accepted.body));
  assert.equal(accepted.headers.get('location'), `/v1/jobs/${accepted.body.id}`);
  assert.match(accepted.headers.get('ratelimit-policy'), /q=150;w=10/);
  assert.match(accepted.headers.get('ratelimit'), /r=\d+;t=\d+/);
  assert.equal(accepted.body.task, 'generate');
  assert.equal(accepted.body.model, 'demo');

  const job = await client.over(accepted.body.id);
  assert.equal(job.status, 'succeeded', JSON.stringify(job));
  assert.equal(job.price, 1);
  assert.equal(job.error, null);
  const [picture, ...more] = job.pictures;
  assert.deepEqual(more, []);
  assert.deepEqual([picture.seed, picture.width, picture.height, picture.flagged], [7, 64, 64, false]);

  const { status, headers, body } = await new Client(stack.url, null).call('GET', picture.url);
  assert.equal(status, 200);
  assert.equal(headers.get('content-type'), 'image/png');
  assert.equal(headers.get('x-content-type-options'), 'nosniff');
  assert.match(headers.get('cache-control'), /private/);
  assert.equal(createHash('sha256').update(body).digest('hex'), picture.sha256);
  assert.deepEqual(sizeOf(body), [64, 64]);

  const usage = await client.json('GET', '/v1/usage');
  assert.deepEqual([usage.credits, usage.held, usage.images_this_month], [19, 0, 1]);
});

test('a link is worth nothing with another path, signature or time', async () => {
  const client = await stack.signUp();
  const job = await client.over((await client.make()).id);
  const good = new URL(job.pictures[0].url);
  const changed = (change) => {
    const url = new URL(good);
    change(url);
    return url;
  };
  const forgeries = {
    'another signature': changed((url) => url.searchParams.set('sig', url.searchParams.get('sig').replace(/^./, (first) => (first === 'A' ? 'B' : 'A')))),
    'a later end': changed((url) => url.searchParams.set('exp', Number(url.searchParams.get('exp')) + 1)),
    'no signature': changed((url) => url.searchParams.delete('sig')),
    'another picture': changed((url) => (url.pathname = url.pathname.replace(/\d+\.png$/, '1.png'))),
  };
  for (const [what, url] of Object.entries(forgeries)) {
    const { status } = await new Client(stack.url, null).call('GET', url);
    assert.ok(status === 403 || status === 404, `${what} is answered ${status}`);
  }
  assert.equal((await new Client(stack.url, null).call('GET', good)).status, 200);
});

test('who waits gets the job when it is over, or the picture itself', async () => {
  const client = await stack.signUp();
  const waited = await client.call('POST', '/v1/images', SMALL, { prefer: 'wait=30' });
  assert.equal(waited.status, 200, JSON.stringify(waited.body));
  assert.equal(waited.body.status, 'succeeded');

  const picture = await client.call('POST', '/v1/images', { ...SMALL, prompt: 'a cat' }, { accept: 'image/png' });
  assert.equal(picture.status, 200);
  assert.equal(picture.headers.get('content-type'), 'image/png');
  assert.deepEqual(sizeOf(picture.body), [64, 64]);
});

test('a request that is wrong in several ways is told all of them, and costs nothing', async () => {
  const client = await stack.signUp();
  const { status, headers, body } = await client.call('POST', '/v1/images', { ...SMALL, prompt: undefined, steps: 0, width: 65 });
  assert.equal(status, 422, JSON.stringify(body));
  assert.match(headers.get('content-type'), /^application\/problem\+json/);
  const pointers = body.errors.map(({ pointer }) => pointer).sort();
  assert.deepEqual(pointers, ['/prompt', '/steps', '/width'], JSON.stringify(body));
  assert.equal((await client.json('GET', '/v1/usage')).credits, 20);
});

test('a key of nobody is refused everywhere', async () => {
  const stranger = new Client(stack.url, 'sk_live_00000000000000000000000000000000');
  for (const [method, path] of [['POST', '/v1/images'], ['GET', '/v1/jobs'], ['GET', '/v1/usage'], ['GET', '/v1/keys']]) {
    const { status, headers } = await stranger.call(method, path, method === 'POST' ? SMALL : undefined);
    assert.equal(status, 401, `${method} ${path}`);
    assert.match(headers.get('content-type'), /^application\/problem\+json/);
  }
});
