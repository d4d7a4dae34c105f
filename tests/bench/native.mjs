// The native program on the CPU.

import { generate } from '../e2e/support/native.mjs';

const PROMPT = 'a red apple on a blue background';
const FEW = 10;
const MANY = 60;

/** Figures of `darkroom generate`. */
export async function nativeFigures() {
  // The difference of two runs, so that reading the prompt and decoding are not in it.
  const few = await generation(FEW);
  const many = await generation(MANY);
  return [
    { name: 'native cpu: seconds per step', value: (many.seconds - few.seconds) / (MANY - FEW), unit: 's' },
    { name: 'native cpu: peak memory', value: many.memory / 1e6, unit: 'MB' },
  ];
}

async function generation(steps) {
  const { printed, memory } = await generate({ prompt: PROMPT, steps, seed: 1 });
  return { seconds: Number(/([\d.]+) s\s*$/.exec(printed)[1]), memory };
}
