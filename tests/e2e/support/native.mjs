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

/** Draws with `darkroom generate`; returns the PNG file's bytes, the final latents and what was printed. */
export async function generate({ prompt, steps, seed }) {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-'));
  try {
    const [out, saved] = ['out.png', 'latents.safetensors'].map((name) => join(folder, name));
    const options = ['--prompt', prompt, '--steps', steps, '--seed', seed, '--out', out, '--save-latents', saved];
    const { stdout } = await run(program, ['generate', '--model', await demoModel(), ...options.map(String)]);
    return { bytes: await readFile(out), latents: floats(await readFile(saved), 'final_latents'), printed: stdout };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** One f32 tensor of a safetensors file. */
function floats(file, name) {
  const start = 8 + Number(file.readBigUInt64LE(0));
  const [from, to] = JSON.parse(file.subarray(8, start))[name].data_offsets;
  return new Float32Array(file.buffer.slice(file.byteOffset + start + from, file.byteOffset + start + to));
}

/** What `darkroom judge` sees in a picture. */
export async function judge(path) {
  const { stdout } = await run(program, ['judge', path, '--json']);
  return JSON.parse(stdout);
}
