// What `cargo xtask test --browser` and `cargo xtask bench` hand over.

function given(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run this through cargo xtask`);
  return value;
}

/** Address of the served page, ending in a slash. */
export const pageUrl = given('DARKROOM_URL');
/** The native program. */
export const program = given('DARKROOM_BIN');
/** The folder that is served. */
export const dist = given('DARKROOM_DIST');
/** The folder of the engine that also answers the questions of `golden.test.mjs`. */
export const goldenEngine = given('DARKROOM_GOLDEN_ENGINE');
/** The browser. */
export const chromiumPath = given('CHROMIUM');
/** Playwright's entry file. */
export const playwrightPath = given('PLAYWRIGHT_CORE');
/** Whether snapshots are written anew instead of compared. */
export const updatesSnapshots = process.env.DARKROOM_UPDATE_SNAPSHOTS === '1';
/** A model of SD-Turbo's size with random weights, its manifest beside it. */
export const fullSizeModel = process.env.DARKROOM_FULL_SIZE;
