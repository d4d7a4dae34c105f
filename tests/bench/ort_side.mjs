// onnxruntime-web's side of the kernels' bench; runs in a page. Inputs and outputs stay where it computes.

import { onnxKernel } from './onnx_kernels.mjs';

/** The build for WebGPU is slower on the CPU than the one that is made for it. */
const BUILDS = { webgpu: '/ort/ort.webgpu.min.mjs', wasm: '/ort/ort.wasm.min.mjs' };
const kept = new Map();

/** Milliseconds of so many runs of a case, until a number of the last output is here. */
export async function measure({ runs, ...question }) {
  const key = JSON.stringify(question);
  if (!kept.has(key)) kept.set(key, await prepare(question));
  const { session, feeds, read } = kept.get(key);
  const start = performance.now();
  let output;
  for (let run = 0; run < runs; run += 1) {
    output?.dispose();
    [output] = Object.values(await session.run(feeds));
  }
  await read(output);
  const ms = performance.now() - start;
  output.dispose();
  return ms;
}

/** Gives back what the last cases took. */
export async function forget() {
  for (const { session, feeds } of kept.values()) {
    await session.release();
    for (const tensor of Object.values(feeds)) tensor.dispose();
  }
  kept.clear();
}

async function prepare({ test, provider, layout }) {
  const ort = await import(BUILDS[provider]);
  ort.env.wasm.wasmPaths = '/ort/';
  // The engine's CPU backend has one thread too.
  ort.env.wasm.numThreads = 1;
  const { bytes, inputs } = test.url ? { bytes: await fetched(test.url) } : onnxKernel(test);
  const isGpu = provider === 'webgpu';
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: [isGpu ? { name: provider, preferredLayout: layout } : provider],
    ...(isGpu && { preferredOutputLocation: 'gpu-buffer' }),
  });
  const device = isGpu ? await ort.env.webgpu.device : null;
  const tensor = isGpu ? (dims) => onGpu(ort, device, dims) : (dims) => new ort.Tensor('float32', random(dims), dims);
  const shapes = inputs ?? Object.fromEntries(session.inputMetadata.map(({ name, shape }) => [name, shape]));
  const feeds = Object.fromEntries(Object.entries(shapes).map(([name, dims]) => [name, tensor(dims)]));
  const read = isGpu ? (output) => firstNumber(device, output.gpuBuffer) : (output) => output.data[0];
  return { session, feeds, read };
}

async function fetched(url) {
  return new Uint8Array(await (await fetch(url)).arrayBuffer());
}

function random(dims) {
  return Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => Math.random() * 2 - 1);
}

function onGpu(ort, device, dims) {
  const values = random(dims);
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ size: values.byteLength, usage });
  device.queue.writeBuffer(buffer, 0, values);
  return ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims, dispose: () => buffer.destroy() });
}

async function firstNumber(device, buffer) {
  const size = Float32Array.BYTES_PER_ELEMENT;
  const staging = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const [number] = new Float32Array(staging.getMappedRange());
  staging.destroy();
  return number;
}
