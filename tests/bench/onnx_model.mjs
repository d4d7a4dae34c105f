// Small ONNX models, written in the page that runs them: a protobuf message is a list of tagged fields.

const FLOAT = 1;
const UINT8 = 2;
const INT64 = 7;
const OPSET = 17;
const IR = 8;

/** A graph that is built node by node; every tensor has a name, and every constant random values. */
export class OnnxModel {
  #nodes = [];
  #constants = [];
  #names = 0;

  /** Adds a node; `inputs` are names, and so is what it gives. Attributes are integers, floats as `{float}`, texts, or lists of integers. */
  node(type, inputs, attributes = {}, domain = '') {
    const output = this.#name();
    this.#nodes.push([
      ...inputs.map((input) => text(1, input)),
      text(2, output),
      text(4, type),
      ...Object.entries(attributes).map(([name, value]) => message(5, attribute(name, value))),
      text(7, domain),
    ]);
    return output;
  }

  /** Single-precision numbers within ± `bound`. */
  random(dims, bound = 1) {
    return this.floats(dims, Float32Array.from({ length: product(dims) }, () => (Math.random() * 2 - 1) * bound));
  }

  floats(dims, values) {
    return this.#constant(dims, FLOAT, values);
  }

  integers(values) {
    return this.#constant([values.length], INT64, BigInt64Array.from(values, BigInt));
  }

  bytes(dims) {
    return this.#constant(dims, UINT8, Uint8Array.from({ length: product(dims) }, () => Math.random() * 256));
  }

  /** The file: inputs are shapes by name, the output is a tensor's name with its shape. */
  write(inputs, output, dims) {
    const graph = [
      ...this.#nodes.map((node) => message(1, node)),
      text(2, 'bench'),
      ...this.#constants.map((constant) => message(5, constant)),
      ...Object.entries(inputs).map(([name, shape]) => message(11, valueInfo(name, shape))),
      message(12, valueInfo(output, dims)),
    ];
    const opset = (domain, version) => message(8, [text(1, domain), integer(2, version)]);
    return joined([integer(1, IR), opset('', OPSET), opset('com.microsoft', 1), message(7, graph)]);
  }

  #name() {
    this.#names += 1;
    return `t${this.#names}`;
  }

  #constant(dims, type, values) {
    const name = this.#name();
    const raw = new Uint8Array(values.buffer);
    this.#constants.push([...dims.map((dim) => integer(1, dim)), integer(2, type), text(8, name), field(9, 2, [varint(raw.length), raw])]);
    return name;
  }
}

const product = (dims) => dims.reduce((a, b) => a * b, 1);

function attribute(name, value) {
  if (Array.isArray(value)) return [text(1, name), ...value.map((one) => integer(8, one)), integer(20, 7)];
  if (typeof value === 'string') return [text(1, name), text(4, value), integer(20, 3)];
  if (typeof value === 'number') return [text(1, name), integer(3, value), integer(20, 2)];
  return [text(1, name), field(2, 5, [new Uint8Array(Float32Array.of(value.float).buffer)]), integer(20, 1)];
}

function valueInfo(name, dims) {
  const shape = dims.map((dim) => message(1, [integer(1, dim)]));
  return [text(1, name), message(2, [message(1, [integer(1, FLOAT), message(2, shape)])])];
}

function integer(number, value) {
  return field(number, 0, [varint(value)]);
}

function text(number, value) {
  const bytes = new TextEncoder().encode(value);
  return field(number, 2, [varint(bytes.length), bytes]);
}

function message(number, fields) {
  const bytes = joined(fields);
  return field(number, 2, [varint(bytes.length), bytes]);
}

function field(number, wire, parts) {
  return joined([varint(number * 8 + wire), ...parts]);
}

function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Uint8Array.from([...bytes, value]);
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
