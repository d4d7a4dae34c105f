// How large the built programs are, and what is in them: bytes raw, gzipped and by brotli, then bytes of code and data by crate.

import { readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const SECTIONS = ['custom', 'type', 'import', 'function', 'table', 'memory', 'global', 'export', 'start', 'element', 'code', 'data'];
const SHOWN = 24;
const isJson = process.argv.includes('--json');
const { DARKROOM_DIST: dist, DARKROOM_WASM: named } = process.env;

for (const file of (await readdir(dist)).filter((name) => name.endsWith('.wasm'))) {
  const bytes = await readFile(join(dist, file));
  const gzip = gzipSync(bytes, { level: 9 }).length;
  const brotli = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  }).length;
  print({ file: file.replace(/-[0-9a-f]+_bg/, '_bg'), raw: bytes.length, gzip, brotli });
  for (const [section, size] of sections(bytes)) print({ file: basename(file), section, raw: size });
}
// The engine as the compiler left it still has its functions' names.
const bytes = await readFile(named);
for (const [crate, raw] of [...codeByCrate(bytes)].sort(([, a], [, b]) => b - a).slice(0, SHOWN)) {
  print({ file: 'engine, code', crate, raw });
}

function print(row) {
  if (isJson) console.log(JSON.stringify(row));
  else console.log(Object.values(row).map((value, index) => String(value)[index ? 'padStart' : 'padEnd'](index ? 14 : 24)).join(' '));
}

/** An unsigned LEB128 number: `[value, next offset]`. */
function number(bytes, offset) {
  let value = 0;
  for (let shift = 0; ; shift += 7, offset += 1) {
    value += (bytes[offset] & 0x7f) * 2 ** shift;
    if (bytes[offset] < 0x80) return [value, offset + 1];
  }
}

function* bodies(bytes) {
  for (let offset = 8; offset < bytes.length; ) {
    const [size, start] = number(bytes, offset + 1);
    yield { kind: SECTIONS[bytes[offset]] ?? 'other', start, end: start + size };
    offset = start + size;
  }
}

function sections(bytes) {
  const sizes = new Map();
  for (const { kind, start, end } of bodies(bytes)) sizes.set(kind, (sizes.get(kind) ?? 0) + end - start);
  return [...sizes].filter(([, size]) => size > 1000);
}

function text(bytes, offset) {
  const [length, start] = number(bytes, offset);
  return [bytes.toString('utf8', start, start + length), start + length];
}

/** Bytes of functions, by the crate that the function's mangled name begins with. */
function codeByCrate(bytes) {
  const names = functionNames(bytes);
  const crates = new Map();
  let index = importedFunctions(bytes);
  const { start } = [...bodies(bytes)].find(({ kind }) => kind === 'code');
  let [count, offset] = number(bytes, start);
  for (; count > 0; count -= 1, index += 1) {
    const [size, body] = number(bytes, offset);
    const crate = crateOf(names.get(index) ?? '');
    crates.set(crate, (crates.get(crate) ?? 0) + size);
    offset = body + size;
  }
  return crates;
}

function importedFunctions(bytes) {
  const section = [...bodies(bytes)].find(({ kind }) => kind === 'import');
  if (!section) return 0;
  let [count, offset] = number(bytes, section.start);
  let functions = 0;
  for (; count > 0; count -= 1) {
    offset = text(bytes, text(bytes, offset)[1])[1];
    const kind = bytes[offset];
    if (kind !== 0) throw new Error('this program imports more than functions');
    functions += 1;
    offset = number(bytes, offset + 1)[1];
  }
  return functions;
}

function functionNames(bytes) {
  const names = new Map();
  for (const { kind, start, end } of bodies(bytes)) {
    if (kind !== 'custom') continue;
    const [name, first] = text(bytes, start);
    if (name !== 'name') continue;
    for (let offset = first; offset < end; ) {
      const [size, body] = number(bytes, offset + 1);
      if (bytes[offset] === 1) {
        let [count, at] = number(bytes, body);
        for (; count > 0; count -= 1) {
          const [index, next] = number(bytes, at);
          const [found, after] = text(bytes, next);
          names.set(index, found);
          at = after;
        }
      }
      offset = body + size;
    }
  }
  return names;
}

/** Of `_ZN…` the first path that is a crate of ours or another's, past `<T as Trait>`. */
function crateOf(name) {
  const path = /^_ZN(.*)/.exec(name)?.[1];
  if (!path) return /^_R/.test(name) ? 'v0' : 'other';
  const [, length] = /^(\d+)/.exec(path);
  const first = path.slice(length.length, length.length + Number(length));
  const inner = first.replace(/^_?(\$LT\$)+(\$RF\$)?(mut\$u20\$|dyn\$u20\$)*/, '');
  return /^[a-z_][a-z0-9_]*/.exec(inner)?.[0] ?? 'other';
}
