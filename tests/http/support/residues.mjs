// What is left of something in all that the service keeps: every file of its state, byte by byte, so that rows and pages that
// were only marked as free are found as well.

import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Where each of the named texts or bytes is still found, as `name in file`. Logs are no store. */
export function residues(stack, needles) {
  const folder = join(stack.state, 'edge/workerd');
  const wanted = Object.entries(needles).map(([name, what]) => [name, Buffer.from(what)]);
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .flatMap((entry) => {
      const path = join(entry.parentPath, entry.name);
      const bytes = contents(path);
      return wanted.filter(([, what]) => bytes.includes(what)).map(([name]) => `${name} in ${relative(folder, path)}`);
    });
}

function contents(path) {
  try {
    return readFileSync(path);
  } catch {
    // It went while it was looked for.
    return Buffer.alloc(0);
  }
}
