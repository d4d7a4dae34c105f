// What comes over the wire as no client should send it: refused with the right words, by a server that goes on.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { Client, SMALL } from './support/client.mjs';
import { roomy } from './support/plans.mjs';
import { Stack } from './support/stack.mjs';

const DEEP = 100_000;
const TOO_LONG = 11 << 20;
/** Nothing may leave a connection open and silent for longer; far more than anything needs. */
const HANG = 35_000;
const OLDER = '/api/v6/images/text2img';
const OLDER_REQUEST = { model_id: 'demo', prompt: 'a dog', width: '64', height: '64', num_inference_steps: '4' };

let stack;
let client;
let credits;
before(async () => {
  stack = await Stack.start({ variables: roomy() });
  client = await stack.signUp({ plan: 'enterprise', credits: 1_000 });
  ({ credits } = await client.json('GET', '/v1/usage'));
});
after(() => stack?.stop());

/** Nothing was made, nothing was charged, and the service still works. */
async function isUnmoved() {
  const usage = await client.json('GET', '/v1/usage');
  assert.deepEqual([usage.credits, usage.held], [credits, 0]);
  assert.equal((await client.call('GET', '/livez')).status, 200);
}

/** Writes pieces to a connection of its own; everything that comes back until the other side closes, or `answers` have come. */
async function raw(pieces, { answers = 1, isHalfClosed = false } = {}) {
  const socket = net.connect({ host: '127.0.0.1', port: Number(new URL(stack.url).port), allowHalfOpen: true });
  socket.on('error', () => socket.destroy());
  const chunks = [];
  const text = () => Buffer.concat(chunks).toString('latin1');
  const count = () => text().match(/HTTP\/1\.1 [2-5]\d\d /g)?.length ?? 0;
  const closed = once(socket, 'close');
  const over = new Promise((settle) => {
    socket.on('end', settle);
    socket.on('close', settle);
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (count() >= answers) settle();
    });
  });
  for (const piece of [pieces].flat()) {
    if (socket.destroyed) break;
    socket.write(piece);
    await sleep(1);
  }
  if (isHalfClosed) socket.end();
  const guard = new AbortController();
  const isHung = await Promise.race([over.then(() => false), sleep(HANG, true, { signal: guard.signal }).catch(() => false)]);
  guard.abort();
  // What follows the first answer, as a smuggled request's would.
  await sleep(20);
  socket.destroy();
  await closed;
  return { isHung, text: text(), statuses: [...text().matchAll(/HTTP\/1\.1 ([2-5]\d\d) /g)].map(([, status]) => Number(status)) };
}

/** The head and body of a request. */
function request({ method = 'POST', path = '/v1/images', headers = {}, body = '', length = Buffer.byteLength(body), version = 'HTTP/1.1' } = {}) {
  const all = { host: new URL(stack.url).host, authorization: `Bearer ${client.key}`, 'content-type': 'application/json', ...headers };
  if (length !== null) all['content-length'] = length;
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${method} ${path} ${version}\r\n${lines.join('')}\r\n`), Buffer.from(body)]);
}

const json = JSON.stringify;
const good = (more) => json({ ...SMALL, ...more });
/** The good request with a value that only text can say. */
const withText = (name, value) => `${good({ [name]: undefined }).slice(0, -1)},"${name}":${value}}`;

/** Bodies that are no readable object of fields. */
const UNREADABLE = {
  'a name twice': withText('prompt', '"a","prompt":"b"'),
  'a name twice by an escape': withText('prompt', '"a","pr\\u006fmpt":"b"'),
  'a name twice deeper down': good({ track_id: 0 }).replace('"track_id":0', '"track_id":{"a":1,"a":2}'),
  'arrays without end': '['.repeat(DEEP),
  'deep arrays': withText('track_id', '['.repeat(DEEP) + ']'.repeat(DEEP)),
  'deep objects': withText('track_id', '{"a":'.repeat(DEEP) + '1' + '}'.repeat(DEEP)),
  'a number beyond doubles': withText('seed', '1e400'),
  NaN: withText('guidance', 'NaN'),
  Infinity: withText('guidance', 'Infinity'),
  '-Infinity': withText('guidance', '-Infinity'),
  'a leading zero': withText('steps', '04'),
  'a plus sign': withText('steps', '+4'),
  'hex digits': withText('steps', '0x4'),
  'a comma at the end': good().replace(/}$/, ',}'),
  'a comment': `/* x */${good()}`,
  'single quotes': "{'task':'generate'}",
  'a lone surrogate': withText('prompt', '"\\ud800"'),
  'a raw control character': withText('prompt', '"a\u0001b"'),
  'a byte that is no UTF-8': Buffer.concat([Buffer.from('{"prompt":"'), Buffer.of(0xff), Buffer.from('"}')]),
  'overlong UTF-8': Buffer.concat([Buffer.from('{"prompt":"'), Buffer.of(0xc0, 0xaf), Buffer.from('"}')]),
  'a surrogate in UTF-8': Buffer.concat([Buffer.from('{"prompt":"'), Buffer.of(0xed, 0xa0, 0x80), Buffer.from('"}')]),
  'UTF-16': Buffer.from(`\ufeff${good()}`, 'utf16le'),
  'an array': `[${good()}]`,
  'a string': json(good()),
  'a number': '{}1'.slice(2),
  null: 'null',
  'two values': `${good()}${good()}`,
  'a zero byte after it': `${good()}\0`,
  'half of it': good().slice(0, -20),
  'compressed bytes': gzipSync(good()),
};

test('a body that two readers could understand differently is refused in both dialects', async () => {
  for (const [what, body] of Object.entries(UNREADABLE)) {
    const ours = await client.call('POST', '/v1/images', body, { 'content-type': 'application/json' });
    assert.equal(ours.status, 400, `${what}: ${json(ours.body)}`);
    assert.equal(ours.body.code, 'invalid_body', what);
    const older = await client.call('POST', OLDER, body, { 'content-type': 'application/json', key: client.key });
    assert.equal(older.status, 200, what);
    assert.equal(older.body.status, 'error', `${what}: ${json(older.body)}`);
  }
  await isUnmoved();
});

/** Readable, but nothing that can be drawn; the field that is to blame. */
const UNUSABLE = [
  ['width', [-64, 0, 64.5, 65, 1e9, 1e308, '64', '1e9', null, [64], { a: 64 }, true]],
  ['height', [-8, 4_294_967_360, '18446744073709551616']],
  ['samples', [-1, 0, 1.5, 4_294_967_297, '1e9', 1_000]],
  ['steps', [0, -4, 2.5, 99_999, 'many', '4']],
  ['guidance', [-1, 1e9, '7.5', 'NaN']],
  ['seed', [-1, 1.5, 1e30, 'random', '7']],
  ['prompt', [5, null, [], {}, true, 'x'.repeat(100_000)]],
  ['task', [5, 'draw', '', null]],
  ['model', [5, '../../etc/passwd', 'no-such-model', 'demo\0', 'x'.repeat(10_000)]],
  ['scheduler', ['no-such', 5]],
  ['webhook', [5, 'no address', 'javascript:alert(1)']],
  ['temporary', ['maybe', 2]],
  ['censor', ['no-such', 5]],
  ['negative_prompt', [5, 'x'.repeat(100_000)]],
  ['track_id', ['x'.repeat(100_000), Array(20_000).fill(1)]],
  ['credits', [1_000_000]],
  ['__proto__', [{}]],
];
const HUGE = ['99999999999999999999', '18446744073709551616', '-9223372036854775809', '1e18', '0.1e-400'];

test('every field that cannot be used is named, and nothing is made', async () => {
  const cases = [
    ...UNUSABLE.flatMap(([name, values]) => values.map((value) => [name, json(value)])),
    ...['width', 'samples', 'steps'].flatMap((name) => HUGE.map((value) => [name, value])),
  ];
  for (const [name, value] of cases) {
    // Null is as good as nothing where a field may be left out.
    const isOmitted = value === 'null' && name === 'width';
    // Where a job would be told of is nothing that an estimate depends on.
    const path = name === 'webhook' ? '/v1/images' : '/v1/images/estimate';
    const { status, body } = await client.call('POST', path, withText(name, value), { 'content-type': 'application/json' });
    const where = `${name} ${value.slice(0, 40)}: ${status} ${json(body).slice(0, 300)}`;
    if (isOmitted) {
      assert.equal(status, 200, where);
      continue;
    }
    assert.equal(status, 422, where);
    assert.ok(body.errors.some(({ pointer }) => pointer === `/${name}`), where);
  }
  await isUnmoved();
});

/** The older dialect's own bad values, which are texts. */
const OLDER_UNUSABLE = {
  width: ['1e9', '-64', '64.5', '0x40', '99999999999999999999', 'NaN', 'wide', -64, 1e9, [64], { a: 64 }],
  samples: ['-1', '1e9', '1.5', '0', 1e9, 4_294_967_297],
  num_inference_steps: ['many', '-1', '2.5', [4]],
  guidance_scale: ['1e400', 'NaN', 'much', -1],
  seed: ['-7x', '1.5', {}],
  prompt: ['', {}, [], null, 'x'.repeat(9 << 20)],
  model_id: ['', 'no-such-model', '../../etc/passwd', {}],
  webhook: ['no address', 'file:///etc/passwd', 5],
};

test('the older dialect says what is wrong with a field under status 200', async () => {
  for (const [name, values] of Object.entries(OLDER_UNUSABLE)) {
    for (const value of values) {
      const { status, body } = await client.modelslab('v6/images/text2img', { ...OLDER_REQUEST, [name]: value });
      const where = `${name} ${json(value).slice(0, 40)}: ${json(body).slice(0, 300)}`;
      assert.equal(status, 200, where);
      assert.equal(body.status, 'error', where);
    }
  }
  await isUnmoved();
});

test('types that are not read are refused by name', async () => {
  const types = {
    415: ['text/plain', 'application/xml', 'application/octet-stream', 'image/png', 'application/jsonp', 'json', ';', '*/*'],
    400: ['application/x-www-form-urlencoded', 'multipart/form-data', 'multipart/form-data; boundary=', 'multipart/form-data; boundary=none'],
  };
  for (const [status, kinds] of Object.entries(types)) {
    for (const kind of kinds) {
      const body = kind.startsWith('application/x-www') ? 'prompt=a&prompt=b' : good();
      const answer = await client.call('POST', '/v1/images', Buffer.from(body), { 'content-type': kind });
      assert.equal(answer.status, Number(status), `${kind}: ${json(answer.body)}`);
    }
  }
  await isUnmoved();
});

test('forms of parts that could be read in two ways are refused', async () => {
  const form = (...parts) => `${parts.map((part) => `--XX\r\n${part}\r\n`).join('')}--XX--\r\n`;
  const field = (name, value) => `Content-Disposition: form-data; name="${name}"\r\n\r\n${value}`;
  const whole = [field('task', 'generate'), field('prompt', 'a')];
  const bodies = {
    'a name twice': form(...whole, field('prompt', 'b')),
    'no end': form(...whole).replace('--XX--\r\n', ''),
    'no name': form(...whole, 'Content-Disposition: form-data\r\n\r\nx'),
    'no disposition': form(...whole, 'Content-Type: text/plain\r\n\r\nx'),
    'a head without end': form(...whole, `X: ${'x'.repeat(100_000)}`),
    'too many parts': form(...Array.from({ length: 20_000 }, (_, index) => field(`f${index}`, 'x'))),
    'no parts': 'hello',
    'bytes that are no UTF-8': Buffer.concat([Buffer.from(`--XX\r\n${field('prompt', '')}`), Buffer.of(0xff, 0xfe), Buffer.from('\r\n--XX--\r\n')]),
  };
  for (const [what, body] of Object.entries(bodies)) {
    for (const path of ['/v1/images', '/v1/uploads']) {
      const { status, body: answer } = await client.call('POST', path, body, { 'content-type': 'multipart/form-data; boundary=XX' });
      assert.ok([400, 422].includes(status), `${what} at ${path}: ${status} ${json(answer)}`);
    }
    const older = await client.call('POST', OLDER, body, { 'content-type': 'multipart/form-data; boundary=XX', key: client.key });
    assert.equal(older.body.status, 'error', `${what}: ${json(older.body)}`);
  }
  await isUnmoved();
});

test('a body of more than 10 MiB is refused, told or not told its length', async () => {
  const long = Buffer.alloc(TOO_LONG, ' ');
  const stream = () => new ReadableStream({ pull: (controller) => (controller.enqueue(long), controller.close()) });
  for (const path of ['/v1/images', '/v1/uploads', '/v1/keys', OLDER]) {
    const headers = { authorization: `Bearer ${client.key}`, 'content-type': 'application/json' };
    for (const body of [long, stream()]) {
      const { status } = await fetch(`${stack.url}${path}`, { method: 'POST', headers, body, duplex: 'half' });
      assert.equal(status, 413, path);
    }
    const { statuses } = await raw(request({ path, length: TOO_LONG }));
    assert.deepEqual(statuses, [413], `${path} is refused by its stated length alone`);
  }
  await isUnmoved();
});

const chunked = { 'transfer-encoding': 'chunked' };
const hex = (text) => Buffer.byteLength(text).toString(16);
/** The body of a second request, which nobody sent. */
const SMUGGLED = 'GET /v1/usage HTTP/1.1\r\nHost: x\r\n\r\n';

/** Messages whose end is not where everyone sees it; each is refused or cut off, and at most answered once. */
function misframed() {
  const body = good({ steps: 0 });
  const framed = (headers, sent) => request({ headers, body: sent, length: null });
  return {
    'two ends': framed({ 'content-length': 5, ...chunked }, `0\r\n\r\n${SMUGGLED}`),
    'two ends, the other way round': framed({ ...chunked, 'content-length': 5 }, `0\r\n\r\n${SMUGGLED}`),
    'two lengths': framed({ 'content-length': `0\r\ncontent-length: ${SMUGGLED.length}` }, SMUGGLED),
    'a list of lengths': framed({ 'content-length': '0, 5' }, SMUGGLED),
    'a signed length': framed({ 'content-length': '+5' }, body),
    'a negative length': framed({ 'content-length': '-1' }, body),
    'a length in hex': framed({ 'content-length': '0x10' }, body),
    'a length with a space': framed({ 'content-length': '1 0' }, body),
    'a length beyond 64 bits': framed({ 'content-length': '99999999999999999999' }, body),
    'no number as length': framed({ 'content-length': 'five' }, body),
    'an unknown coding': framed({ 'transfer-encoding': 'xchunked' }, body),
    'chunked twice': framed({ 'transfer-encoding': 'chunked, chunked' }, '0\r\n\r\n'),
    'chunked, then identity': framed({ 'transfer-encoding': 'chunked, identity' }, `0\r\n\r\n${SMUGGLED}`),
    'a coding behind a control character': framed({ 'transfer-encoding': '\x0bchunked' }, `0\r\n\r\n${SMUGGLED}`),
    'a space before the colon': framed({ 'transfer-encoding ': 'chunked' }, `0\r\n\r\n${SMUGGLED}`),
    'a chunk without a size': framed(chunked, `\r\n${body}\r\n0\r\n\r\n`),
    'a chunk of no hex': framed(chunked, `zz\r\n${body}\r\n0\r\n\r\n`),
    'a negative chunk': framed(chunked, `-1\r\n${body}\r\n0\r\n\r\n`),
    'a chunk with 0x': framed(chunked, `0x10\r\n${body}\r\n0\r\n\r\n`),
    'a chunk beyond 64 bits': framed(chunked, `ffffffffffffffffff\r\n${body}\r\n0\r\n\r\n`),
    'a chunk that is longer than it says': framed(chunked, `5\r\n${body}\r\n0\r\n\r\n`),
    'a line that is no field': request({ headers: { x: 'y\r\nno field' }, body }),
    'a zero byte in a field': request({ headers: { x: 'a\0b' }, body }),
    'a folded field': request({ headers: { x: 'a\r\n b' }, body }),
    'a head without end': request({ headers: { x: 'x'.repeat(1 << 20) }, body }),
    'an unknown version': request({ body, version: 'HTTP/3.7' }),
    'no version': Buffer.from('GET /v1/usage\r\n\r\n'),
    'no HTTP': Buffer.from('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n'),
  };
}

test('a message whose end is in doubt is refused, and hides no second one', async () => {
  for (const [what, sent] of Object.entries(misframed())) {
    const { isHung, statuses } = await raw(sent, { answers: 2, isHalfClosed: true });
    assert.ok(!isHung, `${what} hangs`);
    assert.ok(statuses.length <= 1 || statuses.slice(1).every((status) => status === 400), `${what}: ${statuses}`);
    assert.ok(statuses.every((status) => status >= 400 && status < 500), `${what}: ${statuses}`);
  }
  await isUnmoved();
});

test('a message that breaks off makes nothing', async () => {
  const body = good();
  const whole = request({ body });
  const head = whole.length - body.length;
  for (const end of [1, 10, head - 3, head, head + 1, whole.length - 1]) {
    const { isHung, statuses } = await raw(whole.subarray(0, end), { isHalfClosed: true });
    assert.ok(!isHung, `cut at ${end} hangs`);
    assert.ok(statuses.every((status) => status >= 400 && status < 500), `cut at ${end}: ${statuses}`);
  }
  for (const sent of [`${hex(body)}\r\n${body}`, `${hex(body)}\r\n${body}\r\n`, `${hex(body)}\r\n${body}\r\n0\r\n`]) {
    const { isHung, statuses } = await raw(request({ headers: chunked, body: sent, length: null }), { isHalfClosed: true });
    assert.ok(!isHung && statuses.every((status) => status >= 400 && status < 500), `${sent.slice(-10)}: ${statuses}`);
  }
  await isUnmoved();
});

test('a hundred bodies that come a byte at a time hold up nobody, and make nothing', async () => {
  const body = Buffer.from(JSON.stringify(SMALL));
  const whole = request({ body });
  const head = whole.subarray(0, whole.length - body.length);
  const slow = Array.from({ length: 100 }, () => net.connect({ host: '127.0.0.1', port: Number(new URL(stack.url).port) }));
  for (const socket of slow) socket.on('error', () => socket.destroy()).write(head);
  for (const byte of body.subarray(0, 10)) {
    for (const socket of slow) socket.write(Buffer.of(byte));
    assert.equal((await client.call('GET', '/v1/usage')).status, 200);
    await sleep(50);
  }
  const job = await client.over((await client.make()).id);
  assert.equal(job.status, 'succeeded');
  credits -= job.price;
  for (const socket of slow) socket.destroy();
  await isUnmoved();
});

test('chunks may be of any size, and carry what nobody asked for', async () => {
  const body = good({ steps: 0 });
  const oneByOne = [...body].map((byte) => `1\r\n${byte}\r\n`).join('');
  for (const sent of [
    `${hex(body)}\r\n${body}\r\n0\r\n\r\n`,
    `${oneByOne}0\r\n\r\n`,
    `000${hex(body)}\r\n${body}\r\n0\r\n\r\n`,
    `${hex(body).toUpperCase()};name=value\r\n${body}\r\n0\r\n\r\n`,
  ]) {
    const { isHung, statuses } = await raw(request({ headers: chunked, body: sent, length: null }));
    assert.ok(!isHung);
    // The request is read to its end, and found to be wrong in its field; extensions may be refused as such.
    assert.ok(statuses[0] === 422 || (sent.includes(';') && statuses[0] === 400), `${sent.slice(0, 20)}: ${statuses}`);
  }
});

test('paths and queries that cannot be decoded lead nowhere', async () => {
  const paths = {
    '/v1/jobs/%': [400, 404],
    '/v1/jobs/%zz': [400, 404],
    '/v1/jobs/%00': [400, 404],
    '/v1/jobs/job_%ff%fe': [400, 404],
    [`/v1/jobs/job_${'a'.repeat(5_000)}`]: [404],
    '/v1/jobs/%2e%2e%2fusage': [404],
    '/v1/jobs/..%2f..%2fadmin%2fpool': [404],
    '/v1/../admin/pool': [401],
    '/v1/./jobs/../../admin/pool': [401],
    '/v1//jobs': [200, 404],
    '/v1/jobs?limit=-1': [422],
    '/v1/jobs?limit=1e9': [422],
    '/v1/jobs?limit=99999999999999999999': [422],
    '/v1/jobs?limit=1.5': [422],
    '/v1/jobs?limit=%ff': [422],
    '/v1/jobs?limit=1&limit=2': [400, 422],
    '/v1/jobs?before=%': [404, 422],
    '/v1/jobs?before=x': [404, 422],
    '/v1/jobs?nothing=1': [200, 422],
    '/api/v3/fetch/-1': [200, 404],
    '/api/v3/fetch/99999999999999999999': [200, 404],
    '/api/v3/fetch/1e9': [200, 404],
    '/api/v3/fetch/%': [200, 404],
    '/pictures/%2e%2e/1/x.png': [403, 404],
    '/pictures/acc_0/1/x.png': [403],
    '/pictures/acc_0/-1/x.png?exp=1&kid=1&sig=x': [403],
    '/nothing/%': [400, 404],
    '/%c0%ae%c0%ae/': [400, 404],
  };
  for (const [path, expected] of Object.entries(paths)) {
    const { isHung, statuses, text } = await raw(request({ method: 'GET', path, headers: { key: client.key } }));
    assert.ok(!isHung && statuses.length === 1 && expected.includes(statuses[0]), `${path}: ${statuses}`);
    if (statuses[0] === 200 && path.startsWith('/api/')) assert.match(text, /"status":"error"/, path);
  }
  const odd = await raw(request({ method: 'BREW', path: '/v1/jobs' }));
  assert.ok([400, 405, 501].includes(odd.statuses[0]), `an unknown method: ${odd.statuses}`);
  await isUnmoved();
});

test('methods that a path does not take are refused, with those that it takes', async () => {
  for (const [method, path, allowed] of [
    ['DELETE', '/v1/images', 'POST'],
    ['GET', '/v1/images', 'POST'],
    ['PUT', '/v1/keys', 'GET, POST'],
    ['PATCH', '/v1/jobs/job_1', 'GET, DELETE'],
  ]) {
    const { status, headers } = await client.call(method, path);
    assert.equal(status, 405, `${method} ${path}`);
    assert.equal(headers.get('allow'), allowed);
  }
  assert.equal((await client.call('DELETE', OLDER)).status, 405);
});

test('a byte order mark is let pass, and header fields cannot be made from values', async () => {
  const marked = await client.call('POST', '/v1/images/estimate', `\ufeff${good()}`, { 'content-type': 'application/json' });
  assert.equal(marked.status, 200, json(marked.body));
  const { text } = await raw(request({ method: 'GET', path: '/v1/jobs?x=%0d%0aset-cookie:%20a=b', headers: { 'x-request-id': 'a b%0d%0ac' } }));
  assert.ok(!/^set-cookie/im.test(text));
  assert.ok(!text.includes('a b%0d'));
});

test('no bit of a signed link may change, nor its time, nor what it leads to', async () => {
  const other = await stack.signUp();
  const job = await other.over((await other.make()).id);
  const second = await other.over((await other.make({ prompt: 'a cat' })).id);
  const link = new URL(job.pictures[0].url);
  const stranger = new Client(stack.url, null);
  const status = async (url) => (await stranger.call('GET', String(url))).status;
  const changed = (name, value) => {
    const url = new URL(link);
    url.searchParams.set(name, value);
    return url;
  };

  const token = Buffer.from(link.searchParams.get('sig'), 'base64url');
  const forged = [];
  for (let bit = 0; bit < token.length * 8; bit += 1) {
    const bytes = Buffer.from(token);
    bytes[bit >> 3] ^= 1 << (bit & 7);
    forged.push(changed('sig', bytes.toString('base64url')));
  }
  const end = BigInt(link.searchParams.get('exp'));
  for (const shift of [-86_400_000n, -1n, 1n, 3_600_000n, 10n ** 12n]) forged.push(changed('exp', String(end + shift)));
  for (const text of ['', '0', `0${end}`, `+${end}`, ` ${end}`, `${end}.0`, 'Infinity', '-1']) forged.push(changed('exp', text));
  for (const kid of ['0', '2', '01', '']) forged.push(changed('kid', kid));
  const sigs = ['', token.toString('hex'), token.subarray(0, 31).toString('base64url'), `${link.searchParams.get('sig')}=`];
  forged.push(...sigs.map((sig) => changed('sig', sig)));
  const { search } = link;
  const queries = ['', '?', `${search}&x=1`, `${search}&exp=1`, search.replace('&kid', '&amp;kid'), search.toUpperCase()];
  forged.push(...queries.map((query) => `${link.origin}${link.pathname}${query}`));

  const [, , account, number, file] = link.pathname.split('/');
  const otherLink = new URL(second.pictures[0].url);
  const stolen = (await client.json('GET', '/v1/account')).account;
  for (const path of [
    otherLink.pathname,
    `/pictures/${account}/${Number(number) + 1}/${file}`,
    `/pictures/${stolen}/${number}/${file}`,
    `/pictures/${account}/0${number}/${file}`,
    `/pictures/${account}/${number}/${file.replace('-0.', '-1.')}`,
    `/pictures/${account}/${number}/${file.toUpperCase()}`,
    `/pictures/${account}/${number}/./${file}/`,
    `/uploads/${account}/${file}`,
  ]) forged.push(`${link.origin}${path}${link.search}`);
  forged.push(`${link.origin}${link.pathname}${otherLink.search}`);

  const isSame = (url) => String(url) === link.href;
  assert.ok(forged.length > 280 && !forged.some(isSame), `${forged.length} links`);
  const accepted = [];
  for (const url of forged) if (![403, 404].includes(await status(url))) accepted.push(String(url));
  assert.deepEqual(accepted, []);
  for (const method of ['POST', 'PUT', 'DELETE']) assert.ok((await stranger.call(method, link.href)).status >= 400, method);
  assert.equal(await status(link), 200);
});
