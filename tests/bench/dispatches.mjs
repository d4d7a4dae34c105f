// Counting what is launched on the GPU from a page; a worker has `gpu_meter.mjs`.

/** Runs in the page, before anything else there: `dispatches` counts. */
export function countDispatches() {
  globalThis.dispatches = 0;
  const { prototype } = GPUComputePassEncoder;
  for (const name of ['dispatchWorkgroups', 'dispatchWorkgroupsIndirect']) {
    const dispatch = prototype[name];
    prototype[name] = function counted(...workgroups) {
      globalThis.dispatches += 1;
      return dispatch.apply(this, workgroups);
    };
  }
}
