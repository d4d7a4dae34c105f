// Printing figures as they come.

const isJson = process.argv.includes('--json');

/**
 * Prints figures `{name, value, unit}` and comparisons `{name, ours, theirs, ratio, unit}`, where more is better for a ratio. A comparison
 * may have the spread of its ratio (`min`, `max`), `dispatches` of both sides, and the work: `operations`, `bytes`, `intensity` (operations
 * a byte) and `floor` (milliseconds on an RTX 3060 by its data sheet).
 */
export function report(figures) {
  for (const { unit, ...figure } of figures) {
    const entries = Object.entries(figure).map(([key, value]) => [key, key === 'name' ? value : Number(value.toPrecision(4))]);
    const rounded = Object.fromEntries(entries);
    console.log(isJson ? JSON.stringify({ ...rounded, unit }) : row(rounded, unit));
  }
}

function row({ name, value, ours, theirs, ratio, ...more }, unit) {
  const start = name.padEnd(72);
  if (ratio === undefined) return `${start} ${String(value).padStart(10)} ${unit}`;
  return `${start} ${String(ours).padStart(10)} ${unit}, theirs ${theirs} ${unit}: ${ratio} times as fast${details(more)}`;
}

function details({ min, max, dispatches, dispatches_theirs: theirs, operations, bytes, intensity, floor }) {
  return [
    min !== undefined && ` (${min} to ${max})`,
    dispatches !== undefined && `, dispatches ${dispatches} and ${theirs}`,
    operations !== undefined && `; ${operations / 1e6} M operations on ${bytes / 1e6} MB, ${intensity} a byte, card's floor ${floor} ms`,
  ]
    .filter(Boolean)
    .join('');
}
