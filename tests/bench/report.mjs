// Printing figures as they come.

const isJson = process.argv.includes('--json');

/** Prints figures `{name, value, unit}`. */
export function report(figures) {
  for (const { name, value, unit } of figures) {
    const rounded = Number(value.toPrecision(4));
    const row = `${name.padEnd(64)} ${String(rounded).padStart(10)} ${unit}`;
    console.log(isJson ? JSON.stringify({ name, value: rounded, unit }) : row);
  }
}
