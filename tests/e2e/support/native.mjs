// The native program, to compare with.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { dist, program } from './environment.mjs';

const run = promisify(execFile);

/** The demo model's file, as it is served. */
export async function demoModel() {
  const folder = join(dist, 'models/demo');
  const manifest = (await readdir(folder)).find((name) => name.endsWith('.manifest.json'));
  const { file } = JSON.parse(await readFile(join(folder, manifest), 'utf8'));
  return join(folder, file);
}

/** Draws with `darkroom generate`; returns the PNG file's bytes and what was printed. */
export async function generate({ prompt, steps, seed }) {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-'));
  try {
    const out = join(folder, 'out.png');
    const options = ['--prompt', prompt, '--steps', steps, '--seed', seed, '--out', out];
    const { stdout } = await run(program, ['generate', '--model', await demoModel(), ...options.map(String)]);
    return { bytes: await readFile(out), printed: stdout };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What `darkroom judge` sees in a picture. */
export async function judge(path) {
  const { stdout } = await run(program, ['judge', path, '--json']);
  return JSON.parse(stdout);
}
