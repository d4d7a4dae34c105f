// Printing figures as they come.

const isJson = process.argv.includes('--json');

/** Prints figures `{name, value, unit}` and comparisons `{name, ours, theirs, ratio, unit}`, where more is better for a ratio. */
export function report(figures) {
  for (const { unit, ...figure } of figures) {
    const entries = Object.entries(figure).map(([key, value]) => [key, key === 'name' ? value : Number(value.toPrecision(4))]);
    const rounded = Object.fromEntries(entries);
    console.log(isJson ? JSON.stringify({ ...rounded, unit }) : row(rounded, unit));
  }
}

function row({ name, value, ours, theirs, ratio }, unit) {
  const start = name.padEnd(64);
  if (ratio === undefined) return `${start} ${String(value).padStart(10)} ${unit}`;
  return `${start} ${String(ours).padStart(10)} ${unit}, theirs ${theirs} ${unit}: ${ratio} times as fast`;
}
