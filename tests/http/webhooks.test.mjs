// The end of a job is told to its owner's server, signed, and again when that was down.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
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
  await receiver.stop();
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
