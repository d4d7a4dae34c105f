// The native program on the CPU.

import { generate } from '../e2e/support/native.mjs';

const PROMPT = 'a red apple on a blue background';
const FEW = 10;
const MANY = 60;

/** Figures of `darkroom generate`. */
export async function nativeFigures() {
  // The difference of two runs, so that reading the prompt and decoding are not in it.
  const few = await seconds(FEW);
  const many = await seconds(MANY);
  return [{ name: 'native cpu: seconds per step', value: (many - few) / (MANY - FEW), unit: 's' }];
}

async function seconds(steps) {
  const { printed } = await generate({ prompt: PROMPT, steps, seed: 1 });
  return Number(/([\d.]+) s\s*$/.exec(printed)[1]);
}
