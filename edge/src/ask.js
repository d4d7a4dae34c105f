// Calls between the Worker and its objects, and what is read of a request: one crossing each between JavaScript and wasm, which
// cost more than what they carry.

/** A question that fits into a header field needs no stream, neither here nor there. */
const IN_HEADER = /^[\x20-\x7e]{0,4000}$/;

/** Asks the object `name` and returns what it says; throws where that has another status than 200, or comes too late. */
export async function ask(env, binding, name, body, patience) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error('it does not answer')), patience);
  });
  try {
    return await Promise.race([said(env[binding].getByName(name), body), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function said(stub, body) {
  const asked = IN_HEADER.test(body) ? { headers: { question: body } } : { method: 'POST', body };
  const response = await stub.fetch('https://object/', asked);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`it answers ${response.status}: ${text}`);
  return text;
}

/** A fresh name, then method, address and header fields of a request, one a line: no part of them can have a line break. */
export function head(request) {
  let lines = `${crypto.randomUUID()}\n${request.method}\n${request.url}`;
  for (const [name, value] of request.headers) lines += `\n${name}\n${value}`;
  return lines;
}

/** An answer of these bytes, which are JSON where the header does not say otherwise. */
export function answer(headers, lines, status, bytes) {
  set(headers, lines);
  if (!headers.has('content-type')) headers.set('content-type', 'application/json');
  if (!headers.has('cache-control')) headers.set('cache-control', 'no-store');
  // The bytes are a view of memory that wasm goes on using.
  return new Response(bytes.slice(), { status, headers });
}

/** Sets fields of a header, which are given as `head` gives them. */
export function set(headers, lines) {
  const parts = lines.split('\n');
  for (let index = 0; index + 1 < parts.length; index += 2) headers.set(parts[index], parts[index + 1]);
}
