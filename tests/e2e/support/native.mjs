// The native program, to compare with.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { dist, program } from './environment.mjs';

const run = promisify(execFile);
/** How often a running program's memory is looked at, in milliseconds. */
const LOOK_EVERY = 5;

/** The demo model's file, as it is served. */
export async function demoModel() {
  const folder = join(dist, 'models/demo');
  const manifest = (await readdir(folder)).find((name) => name.endsWith('.manifest.json'));
  const { file } = JSON.parse(await readFile(join(folder, manifest), 'utf8'));
  return join(folder, file);
}

/** Draws with `darkroom generate`, the demo model unless told otherwise; returns the PNG file's bytes, the final latents, what was printed and the most memory it had. */
export async function generate({ prompt, steps, seed, model, width, height }) {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-'));
  try {
    const [out, saved] = ['out.png', 'latents.safetensors'].map((name) => join(folder, name));
    const options = ['--prompt', prompt, '--steps', steps, '--seed', seed, '--out', out, '--save-latents', saved];
    if (width) options.push('--width', width, '--height', height);
    const running = run(program, ['generate', '--model', model ?? (await demoModel()), ...options.map(String)]);
    const [{ stdout }, memory] = await Promise.all([running, peakMemory(running.child)]);
    return { bytes: await readFile(out), latents: floats(await readFile(saved), 'final_latents'), printed: stdout, memory };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The most bytes that a program had in memory while it ran, as Linux counts them; not a number elsewhere. */
async function peakMemory(child) {
  let peak = NaN;
  while (child.exitCode === null && child.signalCode === null) {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
    peak = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? peak / 1024) * 1024;
    await setTimeout(LOOK_EVERY);
  }
  return peak;
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
