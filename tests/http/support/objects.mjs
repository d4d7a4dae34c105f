// What lies in the bucket, read from where it is kept: deleted files have no address that could be asked.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** The names of all files whose name begins so. */
export function objects(stack, prefix = '') {
  const folder = join(stack.state, 'edge/workerd/r2/miniflare-R2BucketObject');
  const [file] = readdirSync(folder).filter((name) => name.endsWith('.sqlite') && !name.startsWith('metadata'));
  const database = new DatabaseSync(join(folder, file), { readOnly: true });
  try {
    const rows = database.prepare('SELECT key FROM _mf_objects ORDER BY key').all();
    return rows.map(({ key }) => key).filter((key) => key.startsWith(prefix));
  } finally {
    database.close();
  }
}
