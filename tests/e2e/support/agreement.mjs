// Whether two pictures are the same one, computed twice.

import assert from 'node:assert/strict';

const LEVELS = 2;
const SHARE = 0.999;

/** Asserts that nearly every pixel of two decoded PNGs differs by at most two levels of 255. */
export function assertSamePicture(found, expected, what) {
  assert.deepEqual([found.width, found.height], [expected.width, expected.height], what);
  const pixels = found.width * found.height;
  let near = 0;
  let worst = 0;
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const off = [0, 1, 2].map((channel) => Math.abs(found.rgb[pixel * 3 + channel] - expected.rgb[pixel * 3 + channel]));
    const most = Math.max(...off);
    if (most <= LEVELS) near += 1;
    worst = Math.max(worst, most);
  }
  const share = near / pixels;
  assert.ok(share >= SHARE, `${what}: only ${(share * 100).toFixed(2)} % of the pixels agree, the worst is ${worst} levels off`);
}
