// What the kernels are timed on: SD's own layers, on as few pixels and tokens as a software adapter can bear.

const ALL = ['f32', 'f16', 'q8_0', 'q4_0'];
/** Bytes of a weight. */
const BYTES = { f32: 4, f16: 2, q8_0: 34 / 32, q4_0: 18 / 32 };
/** A card that many have: an RTX 3060 by its data sheet. */
const CARD = { operations: 12.7e12, bytes: 360e9 };

const WORDS = {
  conv3x3: (batch, input, output, side) => `${batch} x ${input} -> ${output}, ${side} x ${side}`,
  matmul: (rows, input, output) => `${rows} x ${input} -> ${output}`,
  attention: (batch, queries, keys, heads, depth) => `${batch} x ${queries} to ${keys}, ${heads} heads of ${depth}`,
  norm: (batch, channels, side) => `with SiLU, ${batch} x ${channels}, ${side} x ${side}`,
  vae: (batch, side) => `of Stable Diffusion, decoder, ${batch} x 4 x ${side} x ${side}`,
  unet: (batch, side) => `of Stable Diffusion 1.5, ${batch} x 4 x ${side} x ${side}`,
  taesd: (batch, side) => `decoder, ${batch} x 4 x ${side} x ${side}`,
};

/** Networks, whose work is told by `kernels/diffusion/src/{unet,vae}/cost.rs`. */
const NETWORK_KERNELS = ['unet', 'vae'];

/** Operations, and numbers of inputs and outputs (f32) and of weights. */
const WORK = {
  conv3x3(batch, input, output, side) {
    const pixels = batch * side * side;
    return { operations: 18 * pixels * input * output, values: pixels * (input + output), weights: 9 * input * output };
  },
  matmul: (rows, input, output) => ({
    operations: 2 * rows * input * output,
    values: rows * (input + output),
    weights: input * output,
  }),
  attention(batch, queries, keys, heads, depth) {
    const width = heads * depth;
    return { operations: 4 * batch * queries * keys * width, values: 2 * batch * (queries + keys) * width, weights: 0 };
  },
  // Mean and variance, scale, shift and SiLU.
  norm(batch, channels, side) {
    const values = batch * channels * side * side;
    return { operations: 8 * values, values: 2 * values, weights: 2 * channels };
  },
  taesd(batch, side) {
    const layers = tinyDecoder(side).map(([input, output, size]) => WORK.conv3x3(batch, input, output, size));
    const sum = (field) => layers.reduce((total, layer) => total + layer[field], 0);
    // Between the layers everything could stay on the chip.
    return { operations: sum('operations'), values: batch * side * side * (4 + 3 * 64), weights: sum('weights') };
  },
};

/** Convolutions of the small decoder: channels in and out, side. */
function tinyDecoder(side) {
  const body = [3, 3, 3, 1].flatMap((blocks, stage) => {
    const size = side * 2 ** stage;
    const same = Array.from({ length: 3 * blocks }, () => [64, 64, size]);
    return stage < 3 ? [...same, [64, 64, 2 * size]] : same;
  });
  return [[4, 64, side], ...body, [64, 3, side * 8]];
}

/** What a case cannot do without, and the least time that it takes on the card. */
function work({ kernel, shape }, format) {
  const { operations, values, weights } = WORK[kernel](...shape);
  const bytes = Math.round(4 * values + BYTES[format] * weights);
  const floor = 1e3 * Math.max(operations / CARD.operations, bytes / CARD.bytes);
  return { operations, bytes, intensity: operations / bytes, floor };
}

const SHAPES = [
  { kernel: 'conv3x3', shape: [1, 320, 320, 8], formats: ALL, hasCpu: true },
  { kernel: 'conv3x3', shape: [1, 640, 640, 4], formats: ['f32', 'q4_0'] },
  // A small autoencoder's and a large one's decoder.
  { kernel: 'conv3x3', shape: [1, 64, 64, 32], formats: ['f32'], hasCpu: true },
  { kernel: 'conv3x3', shape: [1, 128, 128, 16], formats: ['f32'] },
  { kernel: 'matmul', shape: [256, 320, 320], formats: ALL, hasCpu: true },
  { kernel: 'matmul', shape: [64, 1280, 1280], formats: ['f32', 'q8_0', 'q4_0'], hasCpu: true },
  // The time embedding's: a matrix is read for next to nothing.
  { kernel: 'matmul', shape: [2, 1280, 1280], formats: ['f32', 'q4_0'] },
  { kernel: 'attention', shape: [2, 256, 256, 8, 40], formats: ['f32'] },
  { kernel: 'attention', shape: [2, 256, 77, 8, 80], formats: ['f32'] },
  { kernel: 'attention', shape: [2, 64, 64, 8, 160], formats: ['f32'], runs: 2 },
  { kernel: 'norm', shape: [2, 320, 32, 32], formats: ['f32'], runs: 2 },
  { kernel: 'norm', shape: [1, 128, 64, 32], formats: ['f32'], runs: 2 },
  { kernel: 'taesd', shape: [1, 8], formats: ['f32'], hasCpu: true },
];

/** Whole networks of Stable Diffusion 1.5's shape, exported by the reference implementation (`export_sd15.py`) for the other side. */
const NETWORKS = [
  { kernel: 'vae', shape: [1, 4], formats: ['f32'] },
  // burn's own would take 3.4 GB of GPU memory.
  { kernel: 'unet', shape: [1, 8], formats: ['q8_0'], sides: [] },
];

/** One case a format: `{test, name, runs, hasCpu, sides, work}`, where `sides` are those beside ours and onnxruntime's. */
const cases = (shapes) =>
  shapes.flatMap(({ formats, runs = 1, hasCpu = false, sides = ['burn'], ...test }) =>
    formats.map((format, index) => ({
      test: { ...test, format },
      name: `${test.kernel} ${format}, ${WORDS[test.kernel](...test.shape)}`,
      runs,
      hasCpu: hasCpu && index === 0,
      sides,
      work: NETWORK_KERNELS.includes(test.kernel) ? null : work(test, format),
    })),
  );

export const CASES = cases(SHAPES);
export const NETWORK_CASES = cases(NETWORKS);
