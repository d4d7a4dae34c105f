// What was acknowledged is kept, whoever is killed and however often.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { books } from './support/books.mjs';
import { Client, SMALL } from './support/client.mjs';
import { objects } from './support/objects.mjs';
import { roomy } from './support/plans.mjs';
import { Stack, eventually } from './support/stack.mjs';

const KILLS = 20;
const ASKING = 16;
const LEASE_SECONDS = '3';
const CREDITS = 20_000;
/** Refusals that pass: the service is about to be back, or has enough to do. */
const PASSING = [429, 503];
const DRAINED = 180_000;

/** Asks again and again until there is an answer: what was not answered may or may not have been done. */
function insist(ask) {
  return eventually('the service answers', async () => {
    const answer = await ask().catch(() => null);
    return answer && !PASSING.includes(answer.status) && answer;
  });
}

/** Asks for one job after another, sixteen at a time, until `act` is over; returns the jobs' names by their keys. */
async function underLoad(client, request, act) {
  const acknowledged = new Map();
  let [last, isOver] = [0, false];
  const ask = async () => {
    while (!isOver) {
      const key = `key-${(last += 1)}`;
      const body = { ...SMALL, ...request, prompt: `a dog, ${key}` };
      const { status, body: job } = await insist(() => client.call('POST', '/v1/images', body, { 'idempotency-key': key }));
      assert.equal(status, 202, JSON.stringify(job));
      acknowledged.set(key, job.id);
    }
  };
  const over = act().finally(() => {
    isOver = true;
  });
  await Promise.all([over, ...Array.from({ length: ASKING }, ask)]);
  return acknowledged;
}

/** Waits until nothing is open any more, and checks every job, its picture and its price. */
async function checkAll(stack, client, acknowledged) {
  const usage = () => insist(() => client.call('GET', '/v1/usage'));
  await eventually('every job is over', async () => (await usage()).body.queued === 0, DRAINED);
  const { jobs, usage: end, granted, captured } = await books(client);
  assert.deepEqual(new Set(jobs.map(({ id }) => id)), new Set(acknowledged.values()));
  assert.equal(jobs.length, acknowledged.size);
  assert.deepEqual([end.held, end.credits], [0, granted - captured]);

  const stranger = new Client(stack.url, null);
  for (const { status, pictures, error } of jobs) {
    if (status === 'succeeded') {
      const { status: found, body } = await stranger.call('GET', pictures[0].url);
      assert.equal(found, 200);
      assert.equal(createHash('sha256').update(body).digest('hex'), pictures[0].sha256);
    } else {
      // Three kills of those who had it, and it was given up.
      assert.deepEqual([status, error.code, pictures], ['failed', 'failed', []]);
    }
  }
  const succeeded = jobs.filter(({ status }) => status === 'succeeded').length;
  // The lease under which a picture was stored is part of its name; the first lease of a job that nobody lost is 1.
  const pictures = objects(stack, `${client.account}/pictures/`).map((key) => Number(key.split('/')[3]));
  return { jobs: jobs.length, succeeded, retried: pictures.filter((epoch) => epoch > 1).length };
}

const summary = ({ jobs, succeeded, retried }) => `${jobs} jobs acknowledged, ${succeeded} succeeded, ${retried} of them not with the first lease`;

/** Draws like a real node, which says everything until it is heard, or its lease is over. */
async function drawPatiently(stub, lease) {
  const until = (say) => insist(async () => ({ status: await say() }));
  const { bytes, made } = stub.picture(lease, 0);
  await until(() => stub.report(lease));
  await until(() => stub.upload(lease, 0, bytes));
  await until(() => stub.end(lease, { outcome: 'done', pictures: [made], seconds: 0.01, batch: 1 }));
}

/** Some time within which anything may be going on. */
const whatever = (most) => sleep(Math.random() * most);

test(`jobs survive ${KILLS} kills of workerd, and each is charged once`, async (t) => {
  const stack = await Stack.start({ stub: { work: drawPatiently }, variables: { ...roomy(50), LEASE_SECONDS } });
  try {
    const client = await stack.signUp({ plan: 'enterprise', credits: CREDITS });
    const acknowledged = await underLoad(client, {}, async () => {
      for (let kill = 0; kill < KILLS; kill += 1) {
        await whatever(1_500);
        await stack.killWorkerd();
      }
    });
    const found = await checkAll(stack, client, acknowledged);
    t.diagnostic(summary(found));
    assert.ok(found.succeeded > ASKING);
  } finally {
    await stack.stop();
  }
});

test(`jobs survive ${KILLS} kills of the node, and each is charged once`, async (t) => {
  const stack = await Stack.start({ node: 'real', variables: { ...roomy(12), LEASE_SECONDS } });
  try {
    const client = await stack.signUp({ plan: 'enterprise', credits: CREDITS });
    const made = async () => (await client.json('GET', '/v1/usage')).images_this_month;
    const acknowledged = await underLoad(client, { steps: 2 }, async () => {
      for (let kill = 0; kill < KILLS; kill += 1) {
        const before = await made();
        await eventually('the node is at work', async () => (await made()) > before);
        await whatever(600);
        await stack.killNode();
        await stack.startNode();
      }
    });
    const found = await checkAll(stack, client, acknowledged);
    t.diagnostic(summary(found));
    assert.ok(found.succeeded > KILLS && found.retried > 0);
  } finally {
    await stack.stop();
  }
});
