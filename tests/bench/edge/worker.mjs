// What the edge is compared with: the same steps in a small JavaScript worker on the same runtime. Key, rate limit, credits and
// job in one synchronous block of one object an account; an offer to a dispatcher; a picture from R2 behind a signed link.

const LIMIT = 100_000;
const WINDOW = 10_000;

const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const sha256 = async (text) => hex(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
const json = (status, body, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const parts = url.pathname.split('/').filter(Boolean);
    if (parts[0] === 'livez') return new Response('ok');
    if (parts[0] === 'pictures') return picture(url, parts, env);
    const key = (request.headers.get('authorization') ?? '').replace(/^Bearer /, '');
    const account = key.split('.')[0];
    const stub = env.ACCOUNT.get(env.ACCOUNT.idFromName(account));
    const ask = async (body) => (await stub.fetch('https://object/', { method: 'POST', body: JSON.stringify(body) })).json();
    const hash = await sha256(key);
    if (parts[1] === 'accounts') return json(201, await ask({ op: 'open', hash }));
    if (parts[1] === 'images') {
      const wanted = await request.json();
      if (typeof wanted.prompt !== 'string' || !(wanted.width >= 8 && wanted.width <= 2048)) return json(422, {});
      const record = await ask({ op: 'accept', hash, wanted, id: `job_${hex(crypto.getRandomValues(new Uint8Array(16)))}` });
      if (record.denied) return json(record.denied, record);
      const pool = env.DISPATCHER.get(env.DISPATCHER.idFromName('default'));
      await pool.fetch('https://object/', { method: 'POST', body: JSON.stringify({ account, job: record.number }) });
      return json(202, record, { location: `/v1/jobs/${record.id}`, ratelimit: `"default";r=${record.left};t=0` });
    }
    const record = await ask({ op: 'job', hash, id: parts[2] });
    return json(record.denied ?? 200, record);
  },
};

async function picture(url, [, account, number, file], env) {
  const secret = await crypto.subtle.importKey('raw', new TextEncoder().encode(env.SIGNING_KEY), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  await crypto.subtle.sign('HMAC', secret, new TextEncoder().encode(url.pathname + url.searchParams.get('exp')));
  const stub = env.ACCOUNT.get(env.ACCOUNT.idFromName(account));
  await stub.fetch('https://object/', { method: 'POST', body: JSON.stringify({ op: 'picture', number }) });
  let object = await env.PICTURES.get(`${account}/${file}`);
  if (!object) {
    await env.PICTURES.put(`${account}/${file}`, new Uint8Array(200));
    object = await env.PICTURES.get(`${account}/${file}`);
  }
  return new Response(object.body, { headers: { 'content-type': 'image/png', etag: object.httpEtag } });
}

export class Account {
  constructor(state) {
    this.state = state;
    this.sql = state.storage.sql;
    this.sql.exec(`CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
      CREATE TABLE IF NOT EXISTS balance (id INTEGER PRIMARY KEY, credits INTEGER CHECK (credits >= 0));
      CREATE TABLE IF NOT EXISTS ledger (entry INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER, at INTEGER, credits INTEGER, kind TEXT, UNIQUE (job, kind));
      CREATE TABLE IF NOT EXISTS keys (hash TEXT PRIMARY KEY);
      CREATE TABLE IF NOT EXISTS jobs (number INTEGER PRIMARY KEY, id TEXT UNIQUE, is_open INTEGER, due INTEGER, value TEXT);`);
    this.log = [];
  }

  async fetch(request) {
    const asked = await request.json();
    const now = Date.now();
    if (asked.op === 'open') {
      this.sql.exec('INSERT OR REPLACE INTO keys VALUES (?)', asked.hash);
      this.sql.exec('INSERT OR REPLACE INTO balance VALUES (1, 100000000)');
      this.sql.exec("INSERT OR REPLACE INTO facts VALUES ('account', '{\"last\":0}')");
      return Response.json({});
    }
    const facts = JSON.parse([...this.sql.exec("SELECT value FROM facts WHERE name = 'account'")][0].value);
    if (asked.op !== 'picture' && [...this.sql.exec('SELECT 1 FROM keys WHERE hash = ?', asked.hash)].length === 0) return Response.json({ denied: 401 });
    while (this.log.length > 0 && now - this.log[0] >= WINDOW) this.log.shift();
    if (this.log.length >= LIMIT) return Response.json({ denied: 429 });
    this.log.push(now);
    if (asked.op === 'picture') return Response.json([...this.sql.exec('SELECT value FROM jobs WHERE number = 1')]);
    if (asked.op === 'job') {
      const [row] = [...this.sql.exec('SELECT value FROM jobs WHERE id = ?', asked.id)];
      return Response.json(row ? JSON.parse(row.value) : { denied: 404 });
    }
    return Response.json(this.accept(facts, asked, now));
  }

  accept(facts, { id, wanted }, now) {
    const [open] = [...this.sql.exec('SELECT COUNT(*) AS number FROM jobs WHERE is_open = 1')];
    if (open.number >= 1e9) return { denied: 429 };
    const number = facts.last + 1;
    const paid = [...this.sql.exec('UPDATE balance SET credits = credits - 1 WHERE credits >= 1 RETURNING credits')];
    if (paid.length === 0) return { denied: 402 };
    this.sql.exec("INSERT INTO ledger (job, at, credits, kind) VALUES (?, ?, 1, 'reserve')", number, now);
    const record = { number, id, status: 'queued', created_at: new Date(now).toISOString(), request: wanted, left: LIMIT - this.log.length };
    this.sql.exec('INSERT INTO jobs VALUES (?, ?, 1, ?, ?)', number, id, now + 5000, JSON.stringify(record));
    this.sql.exec("UPDATE facts SET value = ? WHERE name = 'account'", JSON.stringify({ last: number, log: this.log.slice(-150) }));
    if (!this.alarm) {
      this.alarm = true;
      this.state.storage.setAlarm(now + 3_600_000);
    }
    return record;
  }
}

export class Dispatcher {
  waiting = [];
  async fetch(request) {
    this.waiting.push(await request.json());
    return Response.json(null);
  }
}

export class Directory {}
export class Receiver {}
