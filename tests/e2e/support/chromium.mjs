// Starting Chromium as visitors have it, with or without WebGPU.

import { chromiumPath, playwrightPath } from './environment.mjs';

const { chromium } = await import(playwrightPath);

const QUIET = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A browser with an empty profile; each of its contexts has storage of its own. */
export function launch({ webgpu = true } = {}) {
  const args = webgpu ? [...QUIET, '--enable-unsafe-webgpu'] : QUIET;
  return chromium.launch({ executablePath: chromiumPath, args });
}
