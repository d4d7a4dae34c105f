// The document is true: whatever is sent, the answer is none of ours to be ashamed of, and has the shape that it announces.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { python } from './support/environment.mjs';
import { roomy } from './support/plans.mjs';
import { Stack } from './support/stack.mjs';

const run = promisify(execFile);
const DOCUMENT = fileURLToPath(new URL('../../static/openapi.json', import.meta.url));
const EXAMPLES = 200;
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
].join();
/** They end the account or the key that everything else is asked with; a stream has no end of its own. */
const APART = '^/v1/account$|^/v1/keys/|/events$';
/** Each with a process of its own: its generator does not bear threads. */
const PARTS = {
  'our own dialect': '^/v1/',
  'the older dialect, first half': '^/api/v[1-5]/',
  'the older dialect, second half': '^/api/(v6|v7|[a-z]+_)',
  'what operators call': '^/(admin|livez|readyz|openapi)',
};

let stack;
before(async () => {
  stack = await Stack.start({ variables: roomy() });
});
after(() => stack?.stop());

test('every operation answers as its document says', async () => {
  const outcomes = await Promise.all(Object.entries(PARTS).map(([name, paths]) => asked(name, paths)));
  for (const { name, code, said } of outcomes) assert.equal(code, 0, `${name}:\n${said}`);
});

async function asked(name, paths) {
  const { key } = paths.includes('admin') ? { key: stack.adminToken } : await stack.signUp({ plan: 'enterprise', credits: 1_000_000 });
  const options = {
    url: stack.url,
    header: `Authorization: Bearer ${key}`,
    checks: CHECKS,
    phases: 'examples,coverage,fuzzing',
    'max-examples': EXAMPLES,
    'include-path-regex': paths,
    'exclude-path-regex': APART,
    'request-timeout': 60,
    seed: 1,
  };
  const flags = Object.entries(options).map(([flag, value]) => `--${flag}=${value}`);
  const program = join(dirname(python), 'schemathesis');
  const settings = { cwd: stack.state, maxBuffer: 1 << 28 };
  const outcome = await run(program, ['run', DOCUMENT, ...flags], settings).catch((error) => error);
  const said = `${outcome.stdout ?? ''}${outcome.stderr ?? ''}`;
  return { name, code: outcome.code ?? 0, said: said.slice(-6000) };
}
