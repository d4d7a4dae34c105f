// Credits, keys and limits hold when everything comes at once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { books, everHad, sum } from './support/books.mjs';
import { Client, SMALL } from './support/client.mjs';
import { roomy } from './support/plans.mjs';
import { Stack, eventually } from './support/stack.mjs';

const SPENDS = 1_000;
const KEYS = 1_000;
const TIMES = 10;
const KEYS_AT_ONCE = 50;
const ROTATIONS = 50;

let stack;
before(async () => {
  stack = await Stack.start({ stub: { slots: 4 }, variables: roomy() });
});
after(() => stack?.stop());

/** As many promises as asked for, all begun before the first is awaited. */
const together = (count, act) => Promise.all(Array.from({ length: count }, (_, number) => act(number)));

/** Reads an account's usage again and again until `isOver`, and checks each reading. */
async function watchBooks(client, granted, isOver) {
  for (let readings = 1; ; readings += 1) {
    const usage = await client.json('GET', '/v1/usage');
    assert.ok(usage.credits >= 0 && usage.held >= 0, JSON.stringify(usage));
    assert.equal(everHad(usage), granted, JSON.stringify(usage));
    if (isOver()) return readings;
    await sleep(20);
  }
}

for (const granted of [20, 63, 200]) {
  test(`${SPENDS} spends at once get what ${granted} credits buy, and no more`, async () => {
    const client = await stack.signUp({ plan: 'enterprise', credits: granted - 20 });
    const prices = [2, 3, 5];
    let isOver = false;
    const watched = watchBooks(client, granted, () => isOver);
    const answers = await together(SPENDS, (number) => {
      const samples = prices[number % prices.length];
      return client.call('POST', '/v1/images', { ...SMALL, samples, prompt: `a dog, ${number}` });
    });
    const statuses = new Set(answers.map(({ status }) => status));
    assert.deepEqual([...statuses].sort(), [202, 402]);
    const accepted = answers.filter(({ status }) => status === 202).map(({ body }) => body);
    const left = granted - sum(accepted, 'price');
    assert.ok(left >= 0 && left < Math.min(...prices), `${left} of ${granted} credits are left`);
    assert.equal((await client.json('GET', '/v1/usage')).credits, left);

    await eventually('every job is over', async () => (await client.json('GET', '/v1/usage')).queued === 0, 120_000);
    isOver = true;
    await watched;
    const { jobs, captured } = await books(client);
    assert.equal(jobs.length, accepted.length);
    assert.equal(captured, granted - left);
  });
}

test(`${KEYS} idempotency keys ${TIMES} times each at once are ${KEYS} jobs, each answered alike`, async () => {
  const [client, stranger] = [await stack.signUp({ plan: 'enterprise', credits: KEYS }), await stack.signUp({ plan: 'enterprise', credits: 20 })];
  const ask = (who, number, prompt = `a dog, ${number}`) =>
    who.call('POST', '/v1/images', { ...SMALL, prompt }, { 'idempotency-key': `key-${number}` });
  const ids = new Set();
  for (let first = 0; first < KEYS; first += KEYS_AT_ONCE) {
    const answers = await together(KEYS_AT_ONCE * TIMES, (index) => ask(client, first + (index % KEYS_AT_ONCE)));
    for (let number = 0; number < KEYS_AT_ONCE; number += 1) {
      const same = answers.filter((_, index) => index % KEYS_AT_ONCE === number);
      assert.deepEqual(new Set(same.map(({ status }) => status)), new Set([202]), JSON.stringify(same[0].body));
      assert.equal(new Set(same.map(({ bytes }) => bytes.toString('hex'))).size, 1);
      assert.equal(same.filter(({ headers }) => headers.get('idempotency-replayed') === 'true').length, TIMES - 1);
      ids.add(same[0].body.id);
    }
  }
  assert.equal(ids.size, KEYS);

  for (let number = 0; number < KEYS; number += 50) {
    const other = await ask(client, number, 'a cat');
    assert.equal(other.status, 409);
    assert.equal(other.body.code, 'idempotency_conflict', JSON.stringify(other.body));
    const independent = await ask(stranger, number);
    assert.equal(independent.status, 202);
    assert.ok(!ids.has(independent.body.id));
  }
  const { jobs } = await books(client);
  assert.deepEqual(new Set(jobs.map(({ id }) => id)), ids);
});

test('of a burst of 400 requests the limit lets 150 through, and tells the others when to come back', async () => {
  const burst = await eventually('a burst is answered within one window', async () => {
    const client = await stack.signUp();
    const start = performance.now();
    const answers = await together(400, () => client.call('GET', '/v1/jobs'));
    // A window that went on in the middle let more through, rightly; that says nothing, so the next account tries.
    return performance.now() - start < 10_000 && { client, answers };
  });
  const { client, answers } = burst;
  const [admitted, refused] = [200, 429].map((wanted) => answers.filter(({ status }) => status === wanted));
  assert.deepEqual([admitted.length, refused.length], [150, 250]);
  const left = ({ headers }) => Number(/r=(\d+);t=\d+/.exec(headers.get('ratelimit'))[1]);
  assert.deepEqual(admitted.map(left).sort((a, b) => b - a), Array.from({ length: 150 }, (_, index) => 149 - index));
  for (const answer of refused) {
    const wait = Number(answer.headers.get('retry-after'));
    assert.ok(wait >= 1 && wait <= 10, `Retry-After is ${wait}`);
    assert.equal(left(answer), 0);
    assert.equal(answer.body.code, 'rate_limited', JSON.stringify(answer.body));
  }
  const again = await client.call('GET', '/v1/jobs');
  await sleep(1_000 * Number(again.headers.get('retry-after')));
  assert.equal((await client.call('GET', '/v1/jobs')).status, 200);
});

test('a key that is rotated is dead at once, and its successor alive', async () => {
  const owner = await stack.signUp({ plan: 'enterprise' });
  const rotated = await owner.json('POST', '/v1/keys', { kind: 'secret', name: 'rotated', scopes: ['images'], origins: [] });
  const clients = [new Client(stack.url, rotated.key)];
  // How many rotations were asked for, and how many answered.
  let [begun, done] = [0, 0];
  const asked = { new: 0, old: 0 };

  const knock = async (isOld) => {
    while (done < ROTATIONS) {
      const used = isOld ? done - 1 : done;
      if (used < 0) {
        await sleep(1);
        continue;
      }
      const { status } = await clients[used].call('GET', '/v1/jobs');
      if (isOld) assert.equal(status, 401, `key ${used} lives after ${done} rotations`);
      // A key that was being replaced meanwhile may have been either.
      else if (begun === used) assert.equal(status, 200, `key ${used} is dead after ${begun} rotations`);
      else assert.ok(status === 200 || status === 401, `key ${used} is answered ${status}`);
      asked[isOld ? 'old' : 'new'] += 1;
    }
  };
  const rotate = async () => {
    while (done < ROTATIONS) {
      begun += 1;
      const { key } = await owner.json('POST', `/v1/keys/${rotated.id}/rotate`);
      clients.push(new Client(stack.url, key));
      done += 1;
      await sleep(5);
    }
  };
  await Promise.all([rotate(), ...Array.from({ length: 16 }, (_, number) => knock(number % 2 === 0))]);
  assert.ok(asked.new >= ROTATIONS && asked.old >= ROTATIONS, JSON.stringify(asked));
  const all = await Promise.all(clients.map((client) => client.call('GET', '/v1/jobs')));
  assert.deepEqual(all.map(({ status }) => status), [...Array(ROTATIONS).fill(401), 200]);
});
