// When the GPU has work and when it waits, while the demo model draws: the time of every pass by the GPU's own clock.

import { Engine } from '../e2e/support/engine.mjs';

const STEPS = 4;
const SPEC = { prompt: 'a red apple on a blue background', steps: STEPS, seed: 1, guidance: 4, size: [64, 64] };
/** Chromium rounds the GPU's clock to a tenth of a millisecond. */
const LONG_GAP_MS = 1;

/** A picture's passes: how long the GPU is busy and idle from the first denoising pass to the last, and between steps. */
export async function traceFigures(browser, proxy) {
  proxy.runInWorker(installTrace, null);
  const engine = await Engine.start(browser, proxy);
  await engine.load('webgpu');
  await engine.latents({ ...SPEC, steps: 1 });
  await engine.meter('reset');
  await engine.latents(SPEC);
  const { passes, reads } = await engine.meter();
  await engine.stop();
  proxy.heal();
  return figures(passes, reads);
}

/** `reads` are the numbers of passes after which a value was read back, one a step and the latents at the end. */
function figures(passes, reads) {
  const steps = reads.slice(0, STEPS);
  // What comes before the first step's is the prompt's.
  const gaps = passes.slice(1).map(({ begin }, index) => ({ after: index + 1, ms: Math.max(begin - passes[index].end, 0) }));
  const inside = gaps.filter(({ after }) => after >= steps[0] && after < steps.at(-1));
  const first = passes[steps[0]];
  const last = passes[steps.at(-1) - 1];
  const idle = inside.reduce((sum, { ms }) => sum + ms, 0);
  const between = inside.filter(({ after }) => steps.includes(after)).map(({ ms }) => ms);
  return [
    { name: 'trace: a denoising step on the GPU', value: (last.end - first.begin) / (STEPS - 1), unit: 'ms' },
    { name: 'trace: passes of a step', value: (steps.at(-1) - steps[0]) / (STEPS - 1), unit: 'passes' },
    { name: 'trace: longest time without work between two steps', value: Math.max(...between), unit: 'ms' },
    { name: 'trace: time without work, of all steps after the first', value: (100 * idle) / (last.end - first.begin), unit: '%' },
    { name: `trace: gaps over ${LONG_GAP_MS} ms`, value: inside.filter(({ ms }) => ms > LONG_GAP_MS).length, unit: 'gaps' },
  ];
}

/** Runs in the worker before the engine: has every compute pass write when it begins and ends, and answers `{meter}`. */
function installTrace() {
  const MOST = 2048;
  let device;
  let times;
  let passes = 0;
  let reads = [];
  const wrap = (owner, name, around) => {
    const inner = owner.prototype[name];
    owner.prototype[name] = function wrapped(...given) {
      return around.call(this, (...changed) => inner.apply(this, changed.length ? changed : given), ...given);
    };
  };
  wrap(GPUDevice, 'createCommandEncoder', function encoder(inner) {
    device = this;
    times ??= device.createQuerySet({ type: 'timestamp', count: 2 * MOST });
    return inner();
  });
  wrap(GPUCommandEncoder, 'beginComputePass', (inner, descriptor) => {
    if (passes >= MOST || descriptor?.timestampWrites) return inner();
    const timestampWrites = { querySet: times, beginningOfPassWriteIndex: 2 * passes, endOfPassWriteIndex: 2 * passes + 1 };
    passes += 1;
    return inner({ ...descriptor, timestampWrites });
  });
  wrap(GPUBuffer, 'mapAsync', (inner, mode) => {
    if (mode & GPUMapMode.READ) reads.push(passes);
    return inner();
  });
  const read = async () => {
    const size = 16 * passes;
    const resolved = device.createBuffer({ size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
    const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(times, 0, 2 * passes, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    const heard = [...reads];
    await staging.mapAsync(GPUMapMode.READ);
    const stamps = [...new BigUint64Array(staging.getMappedRange())];
    const ms = (stamp) => Number(stamp - stamps[0]) / 1e6;
    return { passes: Array.from({ length: passes }, (_, at) => ({ begin: ms(stamps[2 * at]), end: ms(stamps[2 * at + 1]) })), reads: heard };
  };
  self.addEventListener('message', async (event) => {
    if (!event.data.meter) return;
    event.stopImmediatePropagation();
    if (event.data.meter === 'reset') [passes, reads] = [0, []];
    self.postMessage({ meter: event.data.meter === 'reset' ? {} : await read() });
  });
}
