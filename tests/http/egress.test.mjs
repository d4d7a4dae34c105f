// Addresses of a client's choosing: none leads back inside, however it is spelt, and what comes from outside has bounds.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Canary } from './support/canary.mjs';
import { SMALL } from './support/client.mjs';
import { roomy } from './support/plans.mjs';
import { plain } from './support/png.mjs';
import { Receiver } from './support/receiver.mjs';
import { Stack, eventually } from './support/stack.mjs';

const PICTURE = plain(64, 64, [9, 9, 9]);
const INLINE = { base64: PICTURE.toString('base64') };
const TOO_LONG = 11 << 20;
const words = (text) => text.trim().split(/\s+/);

const V4 = words(`127.0.0.1 127.1 127.255.255.254 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 0177.1 127.0.0.1. １２７.0.0.1
  127。0。0。1 0 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 0x0a000001 012.0.0.1 100.64.0.1 100.127.255.255 169.254.169.254
  0xa9fea9fe 2852039166 169.254.0.1 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 3232235777 192.0.0.1 192.0.2.1
  192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
  4294967295 %31%32%37.0.0.1 127.0.0.0x1 ①②⑦.0.0.1`);
const V6 = words(`:: ::1 0:0:0:0:0:0:0:1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:a9fe:a9fe ::ffff:8.8.8.8
  ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b:1::1 100::1 2001::1 2001:0:53aa:64c:0:0:80ff:fffe 2001:10::1
  2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a00:1::1 3fff::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fe80::1 febf::1 fec0::1
  ff02::1 ff0e::1 4000::1`);
const NAMES = words(`localhost LOCALHOST localhost. a.localhost printer.local metadata.google.internal wiki.corp router.lan
  x.home.arpa nas.home x.test x.invalid x.onion intranet kubernetes db ｌocalhost x.alt lo\u00adcalhost a..internal`);
const AMBIGUOUS = [
  ...['', '/a.png', '//127.0.0.1/a.png', '127.0.0.1/a.png', 'https:', 'https://', 'https:///127.0.0.1/', 'https:127.0.0.1'],
  ...['http:/127.0.0.1', 'http://[::1', 'http://exa mple.com/', ' http://127.0.0.1/', 'http://127.0.0.1/\n', 'http://127.0.0.1\t/'],
  ...['http://example.com\\@127.0.0.1/', 'http:\\\\127.0.0.1', 'http://127.0.0.1/\u0000', 'http://a.b:99999/', 'http://%00.example.com/'],
  ...['http://256.256.256.256/', 'http://1.2.3.4.5/', 'http://[::1]x/', 'http://exa<mple.com/', 'http://\u00ad/', 'http://[fe80::1%25lo]/'],
  ...['http://127.0.0.1\r\nhost: x/', 'http://example.com/\r\n\r\nGET / HTTP/1.1', `https://example.com/${'a'.repeat(3_000)}`],
];
const SCHEMES = words(`file:///etc/passwd ftp://127.0.0.1/ gopher://127.0.0.1:70/x javascript:alert(1) blob:https://example.com/1
  ws://127.0.0.1/ wss://127.0.0.1/ dict://127.0.0.1/ ldap://127.0.0.1/ jar:http://127.0.0.1/!/ unix:///var/run/x.sock about:blank`);
const OTHERS = words(`https://user@example.com/ https://:pass@example.com/ https://example.com@127.0.0.1/ https://example.com%40@127.0.0.1/
  https://example.com:22/ http://example.com:6379/ http://example.com:0/ http://127.0.0.1:8787/ http://127.0.0.1#@example.com/
  http://127.0.0.1?@example.com/ http://example.com:80@127.0.0.1/ http://[::1]@example.com/`);

let canary;
let receiver;
let stack;
let client;
before(async () => {
  canary = await Canary.start();
  receiver = await Receiver.start();
  stack = await Stack.start({ exceptions: [receiver.host], variables: roomy() });
  client = await stack.signUp({ plan: 'enterprise', credits: 1_000 });
});
beforeEach(() => {
  receiver.answer = 204;
  receiver.requests.length = 0;
});
after(async () => {
  await stack?.stop();
  await receiver?.stop();
  await canary?.stop();
});

/** Every address that must not be asked. */
function vectors() {
  const hosts = [...V4, ...V6.map((address) => `[${address}]`), ...NAMES];
  const own = canary.hosts.flatMap((host) => [`http://${host}/`, `http://${host}:${canary.port}/`, `https://${host}/`]);
  return [...hosts.flatMap((host) => [`http://${host}/`, `https://${host}:443/x.png`]), ...AMBIGUOUS, ...SCHEMES, ...OTHERS, ...own];
}

/** Where clients can have an address asked: what each is answered. */
const SINKS = {
  image: (url) => client.call('POST', '/v1/images', { ...SMALL, task: 'edit', image: { url } }),
  mask: (url) => client.call('POST', '/v1/images', { ...SMALL, task: 'inpaint', image: INLINE, mask: { url } }),
  webhook: (url) => client.call('POST', '/v1/webhooks', { url, events: ['job.succeeded'] }),
  'webhook of a request': (url) => client.call('POST', '/v1/images', { ...SMALL, webhook: url }),
};
const PICTURES = ['image', 'mask'];

for (const [sink, ask] of Object.entries(SINKS)) {
  test(`no address inside is asked as ${sink}`, async () => {
    const all = vectors();
    assert.ok(all.length >= 200, `${all.length} addresses`);
    const wrong = [];
    // A request without a webhook is a good one.
    for (const url of all.filter((url) => url !== '' || sink !== 'webhook of a request')) {
      const { status } = await ask(url);
      if (status !== 422) wrong.push([url, status]);
    }
    assert.deepEqual(wrong, []);
    assert.deepEqual(canary.connections, []);
    assert.deepEqual((await client.json('GET', '/v1/jobs')).jobs, []);
  });
}

test('no address inside is asked by the older dialect', async () => {
  const base = { model_id: 'demo', prompt: 'a dog', width: '64', height: '64' };
  const inline = PICTURE.toString('base64');
  for (const url of vectors().filter((url) => url !== '')) {
    for (const [path, fields] of [
      ['v6/images/img2img', { init_image: url }],
      ['v6/images/inpaint', { init_image: inline, mask_image: url }],
      ['v5/super_resolution', { url }],
      ['v6/images/text2img', { webhook: url }],
    ]) {
      const { status, body } = await client.modelslab(path, { ...base, ...(path.startsWith('v5') ? { model_id: undefined } : {}), ...fields });
      assert.equal(status, 200);
      assert.equal(body.status, 'error', `${path} ${url}: ${JSON.stringify(body)}`);
    }
  }
  assert.deepEqual(canary.connections, []);
  assert.deepEqual((await client.json('GET', '/v1/jobs')).jobs, []);
});

/** Answers every request for a picture with this. */
function serve(status, headers, body) {
  receiver.answer = (request, response) => response.writeHead(status, headers).end(body);
}

const redirecting = (location) => serve(302, { location });

for (const sink of PICTURES) {
  test(`a redirect leads no ${sink} inside`, async () => {
    const inside = canary.hosts.flatMap((host) => [`http://${host}/`, `http://${host}:${canary.port}/`]);
    const locations = [
      ...inside,
      ...inside.map((url) => url.replace('http:', '')),
      ...['http://169.254.169.254/latest/meta-data/', 'http://2130706433/', 'http://[::ffff:127.0.0.1]/', 'http://localhost/'],
      ...['file:///etc/passwd', 'http://127.1/', 'http://user@127.0.0.1/', 'http:\\\\127.0.0.1/', '', '\\\\127.0.0.1\\x', 'gopher://127.0.0.1/'],
    ];
    for (const location of locations) {
      redirecting(location);
      const { status } = await SINKS[sink](receiver.url('/away'));
      assert.equal(status, 422, location);
    }
    assert.ok(receiver.requests.length >= locations.length, 'each was asked for once');
    assert.deepEqual(canary.connections, []);
  });
}

test('what resolves to an address inside is not connected to, whatever its text says', async () => {
  // The first line lets these pass; only the runtime's own check is left.
  const hosts = ['localhost', ...canary.hosts].map((host) => `${host}:${canary.port}`);
  const open = await Stack.start({ variables: { ...roomy(), EGRESS_EXCEPTIONS: hosts.join() } });
  try {
    const visitor = await open.signUp({ plan: 'enterprise', credits: 100 });
    for (const host of hosts) {
      const { status, body } = await visitor.call('POST', '/v1/images', { ...SMALL, task: 'edit', image: { url: `http://${host}/` } });
      assert.equal(status, 422, `${host}: ${JSON.stringify(body)}`);
      assert.match(body.detail, /nobody answers/, host);
      const { id } = await visitor.make({ webhook: `http://${host}/hook`, prompt: host });
      await visitor.over(id);
      await eventually('the delivery fails', async () => {
        const { deliveries } = await visitor.json('GET', '/v1/webhooks/deliveries');
        return deliveries.find((delivery) => delivery.job === id)?.attempts[0]?.status === null;
      });
    }
  } finally {
    await open.stop();
  }
  assert.deepEqual(canary.connections, []);
});

test('a picture from outside is fetched, by at most three redirects, and without anything of ours', async () => {
  receiver.answer = ({ path }, response) => {
    const left = Number(path.slice(1));
    if (left > 0) response.writeHead([301, 302, 307, 308][left % 4], { location: `/${left - 1}` }).end();
    else response.writeHead(200, { 'content-type': 'image/png', 'set-cookie': 'a=b' }).end(PICTURE);
  };
  for (const sink of PICTURES) {
    for (const hops of [0, 1, 3]) {
      const { status, body } = await SINKS[sink](receiver.url(`/${hops}`));
      assert.equal(status, 202, JSON.stringify(body));
      assert.equal((await client.over(body.id)).status, 'succeeded');
    }
    assert.equal((await SINKS[sink](receiver.url('/4'))).status, 422);
  }
  const ours = /^(authorization|cookie|key|x-api-key|cf-.*|x-forwarded-.*|forwarded|via|traceparent|x-request-id|referer|origin)$/;
  for (const { headers } of receiver.requests) {
    assert.equal(headers.host, receiver.host);
    assert.deepEqual(Object.keys(headers).filter((name) => ours.test(name)), []);
    assert.ok(!JSON.stringify(headers).includes(client.key));
  }
});

test('the node gets the picture as it was fetched', async () => {
  serve(200, { 'content-type': 'image/png' }, PICTURE);
  const got = [];
  stack.stub.work = async (lease) => {
    got.push(await stack.stub.input(lease, 'image'));
    return stack.stub.draw(lease);
  };
  const { body } = await SINKS.image(receiver.url('/x.png'));
  await client.over(body.id);
  stack.stub.work = (lease) => stack.stub.draw(lease);
  assert.ok(got[0].equals(PICTURE));
  assert.ok(!JSON.stringify(stack.stub.leases.at(-1)).includes(receiver.host), 'the node is not told the address');
});

test('what is no picture, too large or not there is refused', async () => {
  const huge = plain(8, 8);
  huge.writeUInt32BE(0x7fffffff, 16);
  const bomb = gzipSync(Buffer.concat([PICTURE, Buffer.alloc(10 * TOO_LONG)]));
  const answers = {
    'a page': [200, { 'content-type': 'image/png' }, '<html><script>alert(1)</script></html>'],
    'a vector picture': [200, { 'content-type': 'image/svg+xml' }, '<svg xmlns="http://www.w3.org/2000/svg"/>'],
    'half a head': [200, { 'content-type': 'image/png' }, PICTURE.subarray(0, 20)],
    'a picture of two billion columns': [200, { 'content-type': 'image/png' }, huge],
    nothing: [200, { 'content-type': 'image/png' }, ''],
    'no content': [204, {}, undefined],
    'not found': [404, { 'content-type': 'image/png' }, PICTURE],
    'a fault': [500, {}, PICTURE],
    'a part': [206, { 'content-range': 'bytes 0-9/99' }, PICTURE],
    'a long body': [200, { 'content-type': 'image/png', 'content-length': TOO_LONG }, Buffer.concat([PICTURE], TOO_LONG)],
    'a body that becomes long': [200, { 'content-type': 'image/png', 'content-encoding': 'gzip' }, bomb],
  };
  for (const [what, [status, headers, body]] of Object.entries(answers)) {
    serve(status, headers, body);
    for (const sink of PICTURES) {
      const answer = await SINKS[sink](receiver.url('/x'));
      assert.equal(answer.status, 422, `${what}: ${JSON.stringify(answer.body)}`);
      assert.ok(!JSON.stringify(answer.body).includes('alert(1)'), 'what was found there is not told');
    }
  }
  receiver.answer = 'cut';
  assert.equal((await SINKS.image(receiver.url('/x'))).status, 422);
});

test('a body without end is cut, and the connection closed', async () => {
  const closed = [];
  receiver.answer = (request, response) => {
    response.writeHead(200, { 'content-type': 'image/png' });
    closed.push(once(response, 'close'));
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(1 << 16, PICTURE)));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  };
  for (const sink of PICTURES) {
    const { status, body } = await SINKS[sink](receiver.url('/endless'));
    assert.equal(status, 422);
    assert.match(JSON.stringify(body), /larger than 10 MiB/);
  }
  await Promise.all(closed);
});

test('after all that, nothing inside was touched and nothing was kept', async () => {
  assert.deepEqual(canary.connections, []);
  const usage = await client.json('GET', '/v1/usage');
  assert.equal(usage.held, 0);
  assert.doesNotMatch(await stack.log(), /panicked|unreachable executed/);
});
