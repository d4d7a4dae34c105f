// Plans as they are shipped, with room in `enterprise` for more at a time than anyone would be sold.

import { readFileSync } from 'node:fs';

const { enterprise, ...others } = JSON.parse(readFileSync(new URL('../../../edge/gateway/plans.json', import.meta.url)));

/** The variables of a Worker with such a plan, in which so many jobs may wait or run. */
export function roomy(queuedJobs = 2_000) {
  const plan = { ...enterprise, queued_jobs: queuedJobs, requests: 100_000, window_seconds: 1 };
  return { PLANS: JSON.stringify({ ...others, enterprise: plan }) };
}
