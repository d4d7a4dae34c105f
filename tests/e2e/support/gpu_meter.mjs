// What the engine takes of the GPU and of the page's memory, counted inside its worker.

/** Has everything that the worker asks of WebGPU counted from its start. */
export function meterWorker(proxy) {
  proxy.runInWorker(installMeter, null);
}

/** Runs in the worker before the engine: wraps what makes buffers, moves bytes and starts kernels, and answers `{meter}`. */
function installMeter() {
  const meter = { live: 0, peak: 0, buffers: 0, dispatches: 0, submits: 0, pipelines: 0, largestBuffer: 0, largestWrite: 0, largestBody: 0 };
  const sizes = new WeakMap();
  const wrap = (owner, name, around) => {
    const inner = owner?.prototype?.[name];
    if (inner) owner.prototype[name] = function wrapped(...given) {
      return around.call(this, () => inner.apply(this, given), ...given);
    };
  };
  wrap(self.GPUDevice, 'createBuffer', (inner, { size }) => {
    const buffer = inner();
    sizes.set(buffer, size);
    meter.live += size;
    meter.buffers += 1;
    meter.peak = Math.max(meter.peak, meter.live);
    meter.largestBuffer = Math.max(meter.largestBuffer, size);
    return buffer;
  });
  wrap(self.GPUBuffer, 'destroy', function destroy(inner) {
    meter.live -= sizes.get(this) ?? 0;
    sizes.delete(this);
    return inner();
  });
  wrap(self.GPUQueue, 'writeBuffer', (inner, buffer, offset, data, from = 0, length = data.length - from) => {
    meter.largestWrite = Math.max(meter.largestWrite, length * (data.BYTES_PER_ELEMENT ?? 1));
    return inner();
  });
  wrap(self.GPUQueue, 'submit', (inner) => {
    meter.submits += 1;
    return inner();
  });
  for (const name of ['createComputePipeline', 'createComputePipelineAsync']) {
    wrap(self.GPUDevice, name, (inner) => {
      meter.pipelines += 1;
      return inner();
    });
  }
  for (const name of ['dispatchWorkgroups', 'dispatchWorkgroupsIndirect']) {
    wrap(self.GPUComputePassEncoder, name, (inner) => {
      meter.dispatches += 1;
      return inner();
    });
  }
  wrap(self.Response, 'arrayBuffer', async (inner) => {
    const body = await inner();
    meter.largestBody = Math.max(meter.largestBody, body.byteLength);
    return body;
  });
  self.addEventListener('message', (event) => {
    if (!event.data.meter) return;
    event.stopImmediatePropagation();
    self.postMessage({ meter: { ...meter } });
    if (event.data.meter === 'reset') Object.assign(meter, { dispatches: 0, submits: 0, pipelines: 0, peak: meter.live });
  });
}
