// Parts of static files: the assets binding knows neither ranges nor lengths, and no file's bytes pass through wasm.

/** Lengths of files in bytes, by ETag, which is a hash of the content. */
const lengths = new Map();
const MOST_LENGTHS = 256;

/** What the assets binding answers to `request`, cut to the range that it asks for. */
export async function ranged(assets, request) {
  const whole = await assets.fetch(request);
  const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.get('range') ?? '');
  const condition = request.headers.get('if-range');
  const etag = whole.headers.get('etag');
  const isWanted = range && isRange(range) && (condition === null || condition === etag);
  if (!isWanted || request.method !== 'GET' || whole.status !== 200 || !etag) return whole;

  const length = lengths.get(etag) ?? (await measure(assets, request.url, etag));
  const [start, end] = bounds(range, length);
  const headers = new Headers(whole.headers);
  headers.set('accept-ranges', 'bytes');
  if (start > end) {
    await whole.body.cancel();
    headers.set('content-range', `bytes */${length}`);
    return new Response(null, { status: 416, headers });
  }
  headers.set('content-range', `bytes ${start}-${end}/${length}`);
  return new Response(slice(whole.body, start, end - start + 1), { status: 206, headers });
}

function isRange([, first, last]) {
  return first === '' ? last !== '' : last === '' || Number(first) <= Number(last);
}

/** First and last byte, as RFC 9110 section 14.1.2 reads a range. */
function bounds([, first, last], length) {
  if (first === '') return [Math.max(length - Number(last), 0), length - 1];
  return [Number(first), last === '' ? length - 1 : Math.min(Number(last), length - 1)];
}

async function measure(assets, url, etag) {
  const { body } = await assets.fetch(new Request(url));
  let length = 0;
  for await (const piece of body) length += piece.byteLength;
  if (lengths.size >= MOST_LENGTHS) lengths.clear();
  lengths.set(etag, length);
  return length;
}

/** The `length` bytes of `body` from `start` on. */
function slice(body, start, length) {
  const { readable, writable } = new FixedLengthStream(length);
  void pump(body.getReader(), writable.getWriter(), start, length);
  return readable;
}

async function pump(reader, writer, skip, left) {
  try {
    while (left > 0) {
      const { value, done } = await reader.read();
      if (done) throw new Error('the file is shorter than it was');
      const piece = value.subarray(skip, skip + left);
      skip = Math.max(skip - value.length, 0);
      if (piece.length > 0) await writer.write(piece);
      left -= piece.length;
    }
    await writer.close();
  } catch (error) {
    // The reader of the part went away, or the file changed; both sides are told.
    await writer.abort(error).catch(() => {});
  } finally {
    await reader.cancel().catch(() => {});
  }
}
