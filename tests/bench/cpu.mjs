// A model of Stable Diffusion 1.5's shapes on the CPU, ours beside the reference implementation on PyTorch, and beside others, in turns.

import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { report } from './report.mjs';

const run = promisify(execFile);
const { DARKROOM_MODEL: model, DARKROOM_DEPS: deps, DARKROOM_PYTHON: python } = process.env;
const { DARKROOM_SDCPP: sdcpp, DARKROOM_CANDLE: candle } = process.env;
/** Pixels along a side; fewer make a quick look. */
const SIDE = process.env.DARKROOM_SIZE ?? '512';
const STEPS = '2';
const ROUNDS = Number(process.env.DARKROOM_ROUNDS ?? 2);

/** Who is compared with, each a program that takes a folder, a side and a number of steps. */
const OTHERS = {
  'PyTorch': python && [python, 'tests/bench/cpu.py'],
  'stable-diffusion.cpp': sdcpp && [sdcpp, 'tests/bench/cpu_sdcpp.py'],
  'candle': candle && [candle],
};
const FIGURES = { load: 'loading', text: 'text encoder', step: 'pass of the UNet', decode: 'decoding' };

const ours = await newest(/^networks-[0-9a-f]+$/);
const others = Object.entries(OTHERS).filter(([, command]) => command);
const rounds = [];
for (let round = 0; round < ROUNDS; round++) {
  const { stdout } = await run(ours, ['--bench'], { env: { ...process.env, DARKROOM_SIZE: SIDE, DARKROOM_STEPS: STEPS } });
  const sides = { mine: JSON.parse(stdout) };
  for (const [name, [program, ...before]] of others) {
    const { stdout } = await run(program, [...before, model, SIDE, STEPS], { maxBuffer: 64 << 20 });
    sides[name] = JSON.parse(stdout.trim().split('\n').at(-1));
  }
  rounds.push(sides);
}
for (const [other] of others) {
  for (const [key, name] of Object.entries(FIGURES)) {
    report([compared(`cpu, ${SIDE} x ${SIDE}, beside ${other}: ${name}`, other, key, 's', 1)]);
  }
  report([compared(`cpu, ${SIDE} x ${SIDE}, beside ${other}: most memory`, other, 'peak', 'GB', 1e9)]);
}

function compared(name, other, key, unit, divisor) {
  const ratios = rounds.map((round) => round[other][key] / round.mine[key]);
  const middle = (side) => median(rounds.map((round) => round[side][key])) / divisor;
  return {
    name,
    ours: middle('mine'),
    theirs: middle(other),
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
