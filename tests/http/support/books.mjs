// An account's books, checked against themselves and against its jobs.

import assert from 'node:assert/strict';

/** What `GET /v1/account/export` says, once no credit in it is lost or made and every job is booked as it ended. */
export async function books(client) {
  const exported = await client.json('GET', '/v1/account/export');
  const { ledger, usage, jobs } = exported;
  const rows = (...kinds) => ledger.filter(({ kind }) => kinds.includes(kind));
  const [granted, reserved, captured, refunded] = ['grant', 'reserve', 'capture', 'refund'].map((kind) => sum(rows(kind), 'credits'));
  assert.equal(usage.credits, granted - reserved + refunded, 'what can be spent');
  assert.equal(usage.held, reserved - captured - refunded, 'what is held');

  const settlements = rows('capture', 'refund').map(({ job }) => job);
  assert.equal(new Set(settlements).size, settlements.length, 'no job is settled twice');
  const isPaid = (job) => job.status === 'succeeded' && !isWithheld(job);
  const [succeeded, given] = [jobs.filter(isPaid), jobs.filter((job) => has('failed', 'cancelled')(job) || isWithheld(job))];
  assert.deepEqual([rows('reserve').length, rows('capture').length, rows('refund').length], [jobs.length, succeeded.length, given.length]);
  assert.equal(captured, sum(succeeded, 'price'));
  assert.equal(refunded, sum(given, 'price'));
  return { ...exported, granted, captured, refunded };
}

/** What one reading of `GET /v1/usage` says that the account ever had. */
export function everHad(usage) {
  return usage.credits + usage.held + sum(usage.days, 'credits');
}

export function sum(rows, field) {
  return rows.reduce((total, row) => total + row[field], 0);
}

/** Whether nothing of what was drawn could be shown. */
function isWithheld({ task, pictures }) {
  return task !== 'check' && pictures.length > 0 && pictures.every(({ flagged }) => flagged);
}

function has(...states) {
  return ({ status }) => states.includes(status);
}
