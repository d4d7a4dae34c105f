// A model of Stable Diffusion 1.5's shapes on the CPU, ours beside the reference implementation on PyTorch, in turns.

import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { report } from './report.mjs';

const run = promisify(execFile);
const { DARKROOM_MODEL: model, DARKROOM_DEPS: deps, DARKROOM_PYTHON: python } = process.env;
/** Pixels along a side; fewer make a quick look. */
const SIDE = process.env.DARKROOM_SIZE ?? '512';
const STEPS = '2';
const ROUNDS = Number(process.env.DARKROOM_ROUNDS ?? 2);

const ours = await newest(/^networks-[0-9a-f]+$/);
const rounds = [];
for (let round = 0; round < ROUNDS; round++) {
  const mine = JSON.parse((await run(ours, ['--bench'], { env: { ...process.env, DARKROOM_SIZE: SIDE, DARKROOM_STEPS: STEPS } })).stdout);
  const theirs = JSON.parse((await run(python, ['tests/bench/cpu.py', model, SIDE, STEPS])).stdout.trim().split('\n').at(-1));
  rounds.push({ mine, theirs });
}
for (const [key, name] of Object.entries({ load: 'loading', text: 'text encoder', step: 'pass of the UNet', decode: 'decoding' })) {
  report([compared(`cpu, ${SIDE} x ${SIDE}: ${name}`, key, 's', 1)]);
}
report([compared(`cpu, ${SIDE} x ${SIDE}: most memory`, 'peak', 'GB', 1e9)]);

function compared(name, key, unit, divisor) {
  const ratios = rounds.map(({ mine, theirs }) => theirs[key] / mine[key]);
  const middle = (side) => median(rounds.map((round) => round[side][key])) / divisor;
  return {
    name,
    ours: middle('mine'),
    theirs: middle('theirs'),
    ratio: median(ratios),
    min: Math.min(...ratios),
    max: Math.max(...ratios),
    unit,
  };
}

function median(values) {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)];
}

/** The last built program of that name. */
async function newest(pattern) {
  const names = (await readdir(deps)).filter((name) => pattern.test(name));
  const times = await Promise.all(names.map(async (name) => (await stat(join(deps, name))).mtimeMs));
  return join(deps, names[times.indexOf(Math.max(...times))]);
}
