// What is left of something in all that the service keeps. Logs are no store.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/**
 * Where each of the named texts or bytes still stands, as `name in file`: every file byte by byte, so that pages which the
 * database only marked as free, and its journal, are looked through as well.
 */
export function traces(stack, needles) {
  return search(files(stack), needles, (path) => [readFileSync(path)]);
}

/** The same of rows that are there, and of files that are no database. */
export function remains(stack, needles) {
  const all = files(stack).filter((path) => !/\.sqlite-(wal|shm)$/.test(path));
  return search(all, needles, (path) => (path.endsWith('.sqlite') ? rows(path) : [readFileSync(path)]));
}

const folder = (stack) => join(stack.state, 'edge/workerd');

function files(stack) {
  const entries = readdirSync(folder(stack), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function search(paths, needles, read) {
  const wanted = Object.entries(needles).map(([name, what]) => [name, Buffer.from(what)]);
  return paths.flatMap((path) => {
    const pieces = unlessGone(() => read(path));
    const found = wanted.filter(([, what]) => pieces.some((piece) => piece.includes(what)));
    return found.map(([name]) => `${name} in ${path.slice(path.indexOf('workerd/') + 8)}`);
  });
}

/** Files come and go while they are looked for. */
function unlessGone(read) {
  try {
    return read();
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ERR_SQLITE_ERROR') return [];
    throw error;
  }
}

function rows(path) {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    const values = tables.flatMap(({ name }) => all(database, name).flatMap(Object.values));
    return values.filter((value) => value !== null).map((value) => Buffer.from(value instanceof Uint8Array ? value : String(value)));
  } finally {
    database.close();
  }
}

function all(database, table) {
  const query = database.prepare(`SELECT * FROM "${table}"`);
  query.setReadBigInts(true);
  return query.all();
}
