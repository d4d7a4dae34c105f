// The end of a job is told to its owner's server, signed, and again when that was down.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, test } from 'node:test';
import { SMALL } from './support/client.mjs';
import { Receiver, isSigned } from './support/receiver.mjs';
import { Stack, eventually } from './support/stack.mjs';

const ALL = ['job.succeeded', 'job.failed', 'job.cancelled'];

let stack;
let receiver;
before(async () => {
  receiver = await Receiver.start();
  stack = await Stack.start({ exceptions: [receiver.host] });
});
after(async () => {
  await stack?.stop();
  await receiver?.stop();
});

afterEach(() => {
  receiver.answer = 204;
  stack.stub.work = (lease) => stack.stub.draw(lease);
});

/** What arrived for this path. */
const seen = (path) => receiver.requests.filter((request) => request.path === path);

test('an endpoint is told of a success, with a signature that its secret explains', async () => {
  const client = await stack.signUp();
  const { secret } = await client.json('POST', '/v1/webhooks', { url: receiver.url('/signed'), events: ALL });
  const job = await client.over((await client.make()).id);
  const [delivery] = await eventually('the delivery', () => seen('/signed').length > 0 && seen('/signed'));
  assert.ok(isSigned(delivery, secret));
  const body = JSON.parse(delivery.body);
  assert.equal(body.type, 'job.succeeded');
  assert.equal(body.data.id, job.id);
  assert.ok(delivery.body.length < 20_000);

  const { deliveries } = await eventually('it is listed', async () => {
    const answer = await client.json('GET', '/v1/webhooks/deliveries');
    return answer.deliveries[0]?.status === 'delivered' && answer;
  });
  assert.equal(deliveries.length, 1);
  assert.equal(deliveries[0].id, delivery.headers['webhook-id']);
  assert.deepEqual(deliveries[0].attempts.map(({ status }) => status), [204]);
});

test('a receiver that was down is told later, under the same id', async () => {
  const client = await stack.signUp();
  await client.json('POST', '/v1/webhooks', { url: receiver.url('/down'), events: ALL });
  await receiver.down();
  await client.over((await client.make()).id);
  const failed = await eventually('a failed attempt', async () => {
    const { deliveries } = await client.json('GET', '/v1/webhooks/deliveries');
    return deliveries[0]?.attempts.length > 0 && deliveries[0];
  });
  assert.equal(failed.status, 'pending');
  assert.equal(failed.attempts[0].status, null);
  await receiver.up();
  const [delivery] = await eventually('the delivery', () => seen('/down').length > 0 && seen('/down'));
  assert.equal(delivery.headers['webhook-id'], failed.id);
});

test('a receiver that is gone is asked no more', async () => {
  const client = await stack.signUp();
  await client.json('POST', '/v1/webhooks', { url: receiver.url('/gone'), events: ALL });
  receiver.answer = 410;
  await client.over((await client.make()).id);
  await eventually('it is given up', async () => {
    const { deliveries } = await client.json('GET', '/v1/webhooks/deliveries');
    return deliveries[0]?.status === 'disabled';
  });
  receiver.answer = 204;
  assert.equal(seen('/gone').length, 1);
});

test('a delivery can be sent again by hand', async () => {
  const client = await stack.signUp();
  await client.json('POST', '/v1/webhooks', { url: receiver.url('/again'), events: ALL });
  await client.over((await client.make()).id);
  const [first] = await eventually('the delivery', () => seen('/again').length > 0 && seen('/again'));
  const { status } = await client.call('POST', `/v1/webhooks/deliveries/${first.headers['webhook-id']}/replay`);
  assert.equal(status, 202);
  const [, second] = await eventually('it comes again', () => seen('/again').length > 1 && seen('/again'));
  assert.deepEqual(second.body, first.body);
});

test('addresses inside the network are refused', async () => {
  const client = await stack.signUp();
  for (const url of ['http://127.0.0.1:1/', 'https://10.0.0.1/', 'https://localhost/', 'https://[::1]/', 'file:///etc/passwd']) {
    const { status } = await client.call('POST', '/v1/webhooks', { url, events: ALL });
    assert.equal(status, 422, url);
    const made = await client.call('POST', '/v1/images', { ...SMALL, webhook: url });
    assert.equal(made.status, 422, url);
  }
});

test('a client of the older dialect is told in its own words', async () => {
  const client = await stack.signUp({ plan: 'basic', credits: 10 });
  const { body } = await client.modelslab('v6/images/text2img', {
    ...{ model_id: 'demo', prompt: 'a dog', width: '64', height: '64', num_inference_steps: '4' },
    ...{ webhook: receiver.url('/older'), track_id: 'track-7' },
  });
  assert.ok(['processing', 'success'].includes(body.status), JSON.stringify(body));
  const [delivery] = await eventually('the delivery', () => seen('/older').length > 0 && seen('/older'));
  const told = JSON.parse(delivery.body);
  assert.equal(told.status, 'success');
  assert.equal(told.track_id, 'track-7');
  assert.equal(told.output.length, 1);
});

/** The newest delivery, once it is as `isSo` says. */
async function delivered(client, what, isSo) {
  return eventually(what, async () => {
    const { deliveries } = await client.json('GET', '/v1/webhooks/deliveries');
    return deliveries[0] && isSo(deliveries[0]) && deliveries[0];
  });
}

const statuses = ({ attempts }) => attempts.map(({ status }) => status);

/** Answers the first request for this path so, and every later one well. */
function answerFirst(path, status, headers = {}) {
  receiver.answer = (request, response) => {
    const isFirst = request.path === path && seen(path).length === 1;
    response.writeHead(isFirst ? status : 204, isFirst ? headers : {}).end();
  };
}

test('a receiver that fails is told again, under the same id, signed anew', async () => {
  const client = await stack.signUp();
  const { secret } = await client.json('POST', '/v1/webhooks', { url: receiver.url('/fails'), events: ALL });
  answerFirst('/fails', 503);
  await client.over((await client.make()).id);
  const over = await delivered(client, 'the second try', ({ status }) => status === 'delivered');
  assert.deepEqual(statuses(over), [503, 204]);
  const tries = seen('/fails');
  assert.equal(tries.length, 2);
  assert.deepEqual(new Set(tries.map(({ headers }) => headers['webhook-id'])), new Set([over.id]));
  for (const one of tries) assert.ok(isSigned(one, secret));
  const [first, second] = tries.map(({ headers }) => Number(headers['webhook-timestamp']));
  assert.ok(second > first, 'each try says its own time');
  assert.deepEqual(tries[0].body, tries[1].body);
});

test('a redirect is a failure, and is not followed', async () => {
  const client = await stack.signUp();
  await client.json('POST', '/v1/webhooks', { url: receiver.url('/moved'), events: ALL });
  answerFirst('/moved', 307, { location: receiver.url('/elsewhere') });
  await client.over((await client.make()).id);
  const over = await delivered(client, 'the second try', ({ status }) => status === 'delivered');
  assert.deepEqual(statuses(over), [307, 204]);
  assert.equal(seen('/elsewhere').length, 0);
});

test('an answer without end is not read', async () => {
  const client = await stack.signUp();
  await client.json('POST', '/v1/webhooks', { url: receiver.url('/endless'), events: ALL });
  let sent = 0;
  let closed = null;
  receiver.answer = (request, response) => {
    response.writeHead(200);
    closed = once(response, 'close');
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(1 << 16))) sent += 1 << 16;
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  };
  await client.over((await client.make()).id);
  const over = await delivered(client, 'the status counts', ({ status }) => status === 'delivered');
  assert.deepEqual(statuses(over), [200]);
  await closed;
  assert.ok(sent < 64 << 20, `${sent} bytes were taken`);
});

test('a connection that breaks off is a failure without a status', async () => {
  const client = await stack.signUp();
  await client.json('POST', '/v1/webhooks', { url: receiver.url('/cut'), events: ALL });
  receiver.answer = 'cut';
  await client.over((await client.make()).id);
  const pending = await delivered(client, 'the first try', ({ attempts }) => attempts.length > 0);
  assert.deepEqual([pending.status, statuses(pending)], ['pending', [null]]);
  assert.ok(pending.next_at > pending.attempts[0].at);
});

test('a host is asked by two at a time, whoever asks, and misses nothing', async () => {
  const clients = await Promise.all([1, 2, 3].map(() => stack.signUp({ plan: 'basic', credits: 20 })));
  const waiting = [];
  receiver.answer = (request, response) => {
    waiting.push(() => response.writeHead(204).end());
    // As many as come are let wait for another, which must be answered by then.
    if (waiting.length >= 2) for (const answer of waiting.splice(0)) answer();
    else setTimeout(() => waiting.splice(0).forEach((answer) => answer()), 300);
  };
  receiver.mostAtOnce = 0;
  await Promise.all(
    clients.flatMap((client, owner) =>
      [1, 2, 3, 4].map(async (number) => {
        const url = receiver.url(`/busy/${owner}/${number}`);
        await client.over((await client.make({ webhook: url, prompt: `a dog, ${number}` })).id);
      }),
    ),
  );
  const all = () => receiver.requests.filter(({ path }) => path.startsWith('/busy/')).map(({ path }) => path);
  await eventually('all are told', () => new Set(all()).size === 12);
  assert.equal(all().length, 12, 'each once');
  assert.ok(receiver.mostAtOnce <= 2, `${receiver.mostAtOnce} at once`);
});

test('an endpoint that said it is gone hears of no later job, and others still do', async () => {
  const client = await stack.signUp();
  await client.json('POST', '/v1/webhooks', { url: receiver.url('/left'), events: ALL });
  answerFirst('/left', 410);
  await client.over((await client.make()).id);
  await delivered(client, 'it is given up', ({ status }) => status === 'disabled');
  await client.json('POST', '/v1/webhooks', { url: receiver.url('/stays'), events: ALL });
  await client.over((await client.make({ prompt: 'a cat' })).id);
  await eventually('the other is told', () => seen('/stays').length === 1);
  assert.equal(seen('/left').length, 1);
});

test('an endpoint hears of what it asked for', async () => {
  const client = await stack.signUp();
  await client.json('POST', '/v1/webhooks', { url: receiver.url('/failures'), events: ['job.failed', 'job.cancelled'] });
  await client.over((await client.make()).id);
  stack.stub.work = (lease) => stack.stub.end(lease, { outcome: 'refused', reason: 'this cannot be drawn' });
  const failed = await client.over((await client.make({ prompt: 'a cat' })).id);
  assert.equal(failed.status, 'failed');
  stack.stub.work = () => new Promise(() => {});
  const { id } = await client.make({ prompt: 'a fish' });
  await client.json('POST', `/v1/jobs/${id}/cancel`);
  await eventually('both are told', () => seen('/failures').length === 2);
  const told = seen('/failures').map(({ body }) => JSON.parse(body));
  assert.deepEqual(new Set(told.map(({ type }) => type)), new Set(['job.failed', 'job.cancelled']));
  const { data } = told.find(({ type }) => type === 'job.failed');
  assert.deepEqual([data.id, data.error.detail], [failed.id, 'this cannot be drawn']);
});

test('what was deleted is not told any more', async () => {
  const client = await stack.signUp();
  const { id } = await client.json('POST', '/v1/webhooks', { url: receiver.url('/deleted'), events: ALL });
  answerFirst('/deleted', 500);
  await client.over((await client.make()).id);
  await delivered(client, 'the first try', ({ attempts }) => attempts.length === 1);
  assert.equal((await client.call('DELETE', `/v1/webhooks/${id}`)).status, 204);
  await delivered(client, 'it is dropped', ({ status }) => status === 'disabled');
  assert.equal(seen('/deleted').length, 1);
  assert.deepEqual((await client.json('GET', '/v1/webhooks')).webhooks, []);
});

test('an address that came with a request is signed for with the account\'s own secret', async () => {
  const client = await stack.signUp();
  const { request_secret: secret } = await client.json('GET', '/v1/webhooks');
  await client.over((await client.make({ webhook: receiver.url('/with-request') })).id);
  const [delivery] = await eventually('the delivery', () => seen('/with-request').length > 0 && seen('/with-request'));
  assert.ok(isSigned(delivery, secret));
  assert.ok(!isSigned({ ...delivery, body: Buffer.concat([delivery.body, Buffer.from(' ')]) }, secret));
  const other = await (await stack.signUp()).json('GET', '/v1/webhooks');
  assert.ok(!isSigned(delivery, other.request_secret));
});

test('a client of the older dialect is told of a failure, with whatever it called the job', async () => {
  const client = await stack.signUp({ plan: 'basic', credits: 10 });
  stack.stub.work = (lease) => stack.stub.end(lease, { outcome: 'refused', reason: 'this cannot be drawn' });
  const tracks = { '/number': 7, '/text': 'seven', '/object': { a: [1, null] }, '/none': undefined };
  for (const [path, track] of Object.entries(tracks)) {
    const { body } = await client.modelslab('v6/images/text2img', {
      ...{ model_id: 'demo', prompt: `a dog ${path}`, width: '64', height: '64', num_inference_steps: '4' },
      ...{ webhook: receiver.url(path), track_id: track },
    });
    assert.equal(body.status, 'failed', JSON.stringify(body));
    const [delivery] = await eventually('the delivery', () => seen(path).length > 0 && seen(path));
    const told = JSON.parse(delivery.body);
    assert.equal(told.status, 'failed');
    assert.equal(typeof told.id, 'number');
    assert.equal(told.output, '');
    assert.match(told.message, /^Processing failed: this cannot be drawn/);
    assert.deepEqual(told.track_id, track ?? null);
  }
});
