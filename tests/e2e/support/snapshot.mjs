// Comparing text with a committed file.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { updatesSnapshots } from './environment.mjs';

/** Asserts that `text` is the snapshot `name`; with DARKROOM_UPDATE_SNAPSHOTS=1 it becomes the snapshot. */
export async function assertSnapshot(name, text) {
  const file = new URL(`../snapshots/${name}`, import.meta.url);
  if (updatesSnapshots) {
    await writeFile(file, `${text}\n`);
    return;
  }
  assert.equal(`${text}\n`, await readFile(file, 'utf8'));
}

/** An accessibility tree without what differs between machines, models and runs. */
export function withoutFigures(tree) {
  const lines = tree.split('\n').map((line) =>
    line
      .replace(/(Uses the ).*/, '$1…')
      .replace(/(model )[\w-]+/, '$1…')
      .replace(/(blob:).*/, '$1…')
      .replace(/(?<!\w|level=)\d+([.,]\d+)?( ms| s| min)?(?!\w)/g, 'N'),
  );
  return withoutExamples(lines).join('\n');
}

/** The model's own prompts are as many buttons as it likes. */
function withoutExamples(lines) {
  const start = lines.findIndex((line) => line.includes('group "Try one of these"'));
  if (start < 0) return lines;
  const indent = lines[start].search(/\S/);
  const length = lines.slice(start + 1).findIndex((line) => line.search(/\S/) <= indent);
  const end = length < 0 ? lines.length : start + 1 + length;
  return [...lines.slice(0, start + 1), `${' '.repeat(indent + 2)}- …`, ...lines.slice(end)];
}
