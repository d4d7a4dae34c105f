// Scripts that break a worker's browser before the engine starts; each is sent there as text.

/** A browser without WebGPU. */
export function removeWebGpu() {
  delete WorkerNavigator.prototype.gpu;
}

/** The driver gives no device. */
export function refuseDevice() {
  GPUAdapter.prototype.requestDevice = () => Promise.reject(new DOMException('no device for a test', 'OperationError'));
}

/** The GPU is taken away at the first step of a run. */
export function loseDeviceInRun() {
  const devices = [];
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...options) {
    const device = await request.apply(this, options);
    devices.push(device);
    return device;
  };
  const post = self.postMessage;
  self.postMessage = (data, ...rest) => {
    post.call(self, data, ...rest);
    const event = data.message ? JSON.parse(data.message) : {};
    if (event.type === 'progress' && event.progress.phase === 'denoising') {
      for (const device of devices.splice(0)) device.destroy();
    }
  };
}

/** The GPU has no memory for anything larger than `limit` bytes. */
export function refuseLargeBuffers(limit) {
  const create = GPUDevice.prototype.createBuffer;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    if (descriptor.size > limit) throw new RangeError('createBuffer failed, size is too large for the implementation');
    return create.call(this, descriptor);
  };
}

/** The disk is full after `room` bytes. */
export function fillDisk(room) {
  let left = room;
  const write = FileSystemSyncAccessHandle.prototype.write;
  FileSystemSyncAccessHandle.prototype.write = function (bytes, options) {
    left -= bytes.byteLength;
    if (left < 0) throw new DOMException('no room for a test', 'QuotaExceededError');
    return write.call(this, bytes, options);
  };
}

/** Breaches of the policy inside the worker, which the page does not hear of, reach the console. */
export function reportBreaches() {
  addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
    console.error(`Content Security Policy in the worker: ${violatedDirective} ${blockedURI}`);
  });
}

/** The worker dies when it is to measure the device. */
export function failProbe() {
  addEventListener('message', (event) => {
    if (!event.data.message || JSON.parse(event.data.message).type !== 'probe') return;
    event.stopImmediatePropagation();
    setTimeout(() => {
      throw new Error('no measuring in a test');
    });
  });
}
