// What `cargo xtask test --http` hands over.

function given(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run this through cargo xtask`);
  return value;
}

/** The built Worker's folder. */
export const worker = given('DARKROOM_WORKER');
/** The script that runs it. */
export const serve = given('DARKROOM_SERVE');
/** The folder of the built page. */
export const dist = given('DARKROOM_DIST');
/** The native program. */
export const program = given('DARKROOM_BIN');
/** The folder of models that a real node gets. */
export const models = given('DARKROOM_MODELS');
/** A Python with the clients of requirements.txt. */
export const python = given('DARKROOM_PYTHON');
