// PNG files as the engine writes them: eight bits a channel, not interlaced.

import { deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = '89504e470d0a1a0a';
const CHANNELS = { 0: 1, 2: 3, 4: 2, 6: 4 };

/** Reads a file into `{width, height, rgb, texts}`. */
export function readPng(file) {
  if (file.subarray(0, 8).toString('hex') !== SIGNATURE) throw new Error('this is no PNG file');
  const texts = {};
  const data = [];
  let header;
  for (let offset = 8; offset < file.length; ) {
    const length = file.readUInt32BE(offset);
    const kind = file.toString('latin1', offset + 4, offset + 8);
    const body = file.subarray(offset + 8, offset + 8 + length);
    if (kind === 'IHDR') header = readHeader(body);
    if (kind === 'IDAT') data.push(body);
    if (kind === 'tEXt' || kind === 'iTXt') Object.assign(texts, readText(kind, body));
    offset += length + 12;
  }
  const { width, height, channels } = header;
  const rows = unfilter(inflateSync(Buffer.concat(data)), width * channels, height, channels);
  return { width, height, texts, rgb: toRgb(rows, width * height, channels) };
}

function readHeader(body) {
  const [depth, colour, , , interlace] = body.subarray(8);
  const channels = CHANNELS[colour];
  if (depth !== 8 || !channels || interlace) throw new Error('this kind of PNG is not read here');
  return { width: body.readUInt32BE(0), height: body.readUInt32BE(4), channels };
}

function readText(kind, body) {
  const end = body.indexOf(0);
  const key = body.toString('latin1', 0, end);
  if (kind === 'tEXt') return { [key]: body.toString('latin1', end + 1) };
  const isCompressed = body[end + 1] === 1;
  const language = body.indexOf(0, end + 3);
  const text = body.subarray(body.indexOf(0, language + 1) + 1);
  return { [key]: (isCompressed ? inflateSync(text) : text).toString('utf8') };
}

function unfilter(bytes, stride, height, channels) {
  const out = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y += 1) {
    const filter = bytes[y * (stride + 1)];
    for (let x = 0; x < stride; x += 1) {
      const at = y * stride + x;
      const left = x >= channels ? out[at - channels] : 0;
      const up = y > 0 ? out[at - stride] : 0;
      const corner = x >= channels && y > 0 ? out[at - stride - channels] : 0;
      out[at] = bytes[y * (stride + 1) + 1 + x] + predicted(filter, left, up, corner);
    }
  }
  return out;
}

function predicted(filter, left, up, corner) {
  switch (filter) {
    case 0:
      return 0;
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) >> 1;
    default: {
      const [a, b, c] = [left, up, corner].map((near) => Math.abs(left + up - corner - near));
      if (a <= b && a <= c) return left;
      return b <= c ? up : corner;
    }
  }
}

function toRgb(rows, pixels, channels) {
  const rgb = Buffer.alloc(pixels * 3);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      rgb[pixel * 3 + channel] = rows[pixel * channels + (channels < 3 ? 0 : channel)];
    }
  }
  return rgb;
}

/** A file of one colour, perhaps with the text that pictures have about how they were made. */
export function solidPng(width, height, colour, parameters) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8);
  const row = Buffer.concat([Buffer.from([0]), ...Array(width).fill(Buffer.from(colour))]);
  const chunks = [
    chunk('IHDR', header),
    ...(parameters ? [chunk('tEXt', Buffer.from(`parameters\0${parameters}`, 'latin1'))] : []),
    chunk('IDAT', deflateSync(Buffer.concat(Array(height).fill(row)))),
    chunk('IEND', Buffer.alloc(0)),
  ];
  return Buffer.concat([Buffer.from(SIGNATURE, 'hex'), ...chunks]);
}

function chunk(kind, body) {
  const named = Buffer.concat([Buffer.from(kind, 'latin1'), body]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(body.length, 0);
  ends.writeUInt32BE(crc32(named), 4);
  return Buffer.concat([ends.subarray(0, 4), named, ends.subarray(4)]);
}

/** The checksum of PNG, by its definition. */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
