// Figures of the demo model in the browser and natively; a table, or with `--json` one object a line.

import { launch } from '../e2e/support/chromium.mjs';
import { pageUrl } from '../e2e/support/environment.mjs';
import { Proxy } from '../e2e/support/proxy.mjs';
import { nativeFigures } from './native.mjs';
import { comparison } from './onnxruntime.mjs';
import { playgroundFigures } from './playground.mjs';
import { report } from './report.mjs';

/** Few enough for a software adapter. */
const STEPS = { cpu: 20, webgpu: 4 };

const proxy = await Proxy.start(pageUrl);
const browser = await launch();
try {
  for (const [device, steps] of Object.entries(STEPS)) {
    report(await playgroundFigures(browser, proxy, device, steps));
  }
  report(await nativeFigures());
  for (const device of Object.keys(STEPS)) {
    report([await comparison(browser, proxy, device)]);
  }
} finally {
  await browser.close();
  await proxy.stop();
}
