// What can happen to an answer on its way.

/** One bit is wrong. */
export function corrupted(answer) {
  const body = Buffer.from(answer.body);
  body[body.length >> 1] ^= 1;
  return { ...answer, body };
}

/** The answer is shorter than what was asked for, and says so. */
export function truncated(answer) {
  return { ...answer, body: answer.body.subarray(0, answer.body.length >> 1) };
}

/** The connection breaks in the middle. */
export function cut(answer) {
  return { ...answer, body: answer.body.subarray(0, answer.body.length >> 1), declaredLength: answer.body.length };
}

/** The server is overloaded. */
export function refused(answer) {
  return { ...answer, status: 503, body: Buffer.from('try again later') };
}

/** No answer comes, and the connection stays open. */
export function silent(answer) {
  return { ...answer, isSilent: true };
}
