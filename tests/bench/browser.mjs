// The demo model in the browser and natively, and our kernels there; a table, or with `--json` one object a line. The parts that are named
// run, or all.

import { launch } from '../e2e/support/chromium.mjs';
import { pageUrl } from '../e2e/support/environment.mjs';
import { Proxy } from '../e2e/support/proxy.mjs';
import { kernelFigures, networkFigures } from './kernels.mjs';
import { nativeFigures } from './native.mjs';
import { comparison } from './onnxruntime.mjs';
import { playgroundFigures } from './playground.mjs';
import { report } from './report.mjs';
import { traceFigures } from './trace.mjs';

/** Few enough for a software adapter. */
const STEPS = { cpu: 20, webgpu: 4 };

const PARTS = {
  async *playground(browser, proxy) {
    for (const [device, steps] of Object.entries(STEPS)) yield await playgroundFigures(browser, proxy, device, steps);
  },
  async *native() {
    yield await nativeFigures();
  },
  async *unet(browser, proxy) {
    for (const device of Object.keys(STEPS)) yield [await comparison(browser, proxy, device)];
  },
  async *trace(browser, proxy) {
    yield await traceFigures(browser, proxy);
  },
  kernels: kernelFigures,
  networks: networkFigures,
};

const named = process.argv.slice(2).filter((argument) => argument in PARTS);
const proxy = await Proxy.start(pageUrl);
const browser = await launch();
try {
  for (const part of named.length ? named : Object.keys(PARTS)) {
    for await (const figures of PARTS[part](browser, proxy)) report(figures);
  }
} finally {
  await browser.close();
  await proxy.stop();
}
