// Clients as people install them, against a real node with the demo model.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { python } from './support/environment.mjs';
import { plain } from './support/png.mjs';
import { Stack } from './support/stack.mjs';

const run = promisify(execFile);
const CLIENTS = fileURLToPath(new URL('./clients/', import.meta.url));

let stack;
let client;
before(async () => {
  stack = await Stack.start({ node: 'real', exceptions: ['self'] });
  client = await stack.signUp({ plan: 'premium', credits: 1_000 });
});
after(() => stack?.stop());

/** Every test of a Python file, as a test of this run. */
for (const file of ['modelslab_py_client.py', 'modelslab_client.py']) {
  test(`${file} passes`, async () => {
    const env = { ...process.env, DARKROOM_URL: stack.url, DARKROOM_KEY: client.key, PYTHONDONTWRITEBYTECODE: '1' };
    const outcome = await run(python, ['-m', 'unittest', '-v', `${CLIENTS}${file}`], { env, cwd: CLIENTS }).catch((error) => error);
    assert.ok(!(outcome instanceof Error), `${outcome.stdout ?? ''}${outcome.stderr ?? ''}`);
  });
}

test('base64_crop stores the square in the middle of a picture', async () => {
  const wide = plain(96, 64, [10, 200, 30]);
  const image = `data:image/png;base64,${wide.toString('base64')}`;
  const { body } = await client.modelslab('v3/base64_crop', { image, crop: 'true' });
  assert.deepEqual([body.status, body.messege, typeof body.request_id], ['success', 'image uploaded', 'number'], JSON.stringify(body));
  const stored = Buffer.from(await (await fetch(body.link)).arrayBuffer());
  assert.deepEqual([stored.readUInt32BE(16), stored.readUInt32BE(20)], [64, 64]);

  const whole = await client.modelslab('v3/base64_crop', { image, crop: 'false' });
  const same = Buffer.from(await (await fetch(whole.body.link)).arrayBuffer());
  assert.ok(same.equals(wide));
});
