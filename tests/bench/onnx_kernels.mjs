// The benched operations as ONNX models: what a PyTorch exporter writes, or onnxruntime's own operators where it has them.

import { OnnxModel } from './onnx_model.mjs';

const MICROSOFT = 'com.microsoft';
/** Weights that share a scale, as in GGUF. */
const BLOCK = 32;

/** The model of a case: its bytes, and the shapes of its inputs. */
export function onnxKernel({ kernel, shape, format }) {
  const model = new OnnxModel();
  const { inputs, output, dims } = KERNELS[kernel](model, shape, format);
  return { bytes: model.write(inputs, output, dims), inputs };
}

const KERNELS = {
  conv3x3(model, [batch, input, output, side]) {
    const sum = convolution(model, 'x', input, output);
    return { inputs: { x: [batch, input, side, side] }, output: sum, dims: [batch, output, side, side] };
  },

  matmul(model, [rows, input, output], format) {
    const bits = { q8_0: 8, q4_0: 4 }[format];
    const sum = bits
      ? packedProduct(model, 'x', input, output, bits)
      : model.node('MatMul', ['x', model.random([input, output])]);
    const biased = model.node('Add', [sum, model.random([output])]);
    return { inputs: { x: [rows, input] }, output: biased, dims: [rows, output] };
  },

  attention(model, [batch, queries, keys, heads, depth]) {
    const width = heads * depth;
    const output = model.node('MultiHeadAttention', ['q', 'k', 'v'], { num_heads: heads }, MICROSOFT);
    const inputs = { q: [batch, queries, width], k: [batch, keys, width], v: [batch, keys, width] };
    return { inputs, output, dims: inputs.q };
  },

  norm(model, [batch, channels, side, groups]) {
    const dims = [batch, channels, side, side];
    const rows = model.node('Reshape', ['x', model.integers([0, groups, -1])]);
    const [ones, zeros] = [1, 0].map((value) => model.floats([groups], new Float32Array(groups).fill(value)));
    const normed = model.node('InstanceNormalization', [rows, ones, zeros], { epsilon: { float: 1e-5 } });
    const planes = model.node('Reshape', [normed, model.integers(dims)]);
    const scaled = model.node('Mul', [planes, model.random([channels, 1, 1])]);
    const moved = model.node('Add', [scaled, model.random([channels, 1, 1])]);
    const output = model.node('Mul', [moved, model.node('Sigmoid', [moved])]);
    return { inputs: { x: dims }, output, dims };
  },

  taesd(model, [batch, side]) {
    const number = (value) => model.floats([], Float32Array.of(value));
    const squeezed = model.node('Tanh', [model.node('Div', ['x', number(3)])]);
    let hidden = model.node('Mul', [squeezed, number(3)]);
    hidden = model.node('Relu', [convolution(model, hidden, 4, 64)]);
    [3, 3, 3, 1].forEach((blocks, stage) => {
      for (let block = 0; block < blocks; block += 1) hidden = residual(model, hidden, 64);
      if (stage < 3) hidden = convolution(model, doubled(model, hidden), 64, 64, false);
    });
    const picture = model.node('Mul', [convolution(model, hidden, 64, 3), number(2)]);
    const output = model.node('Sub', [picture, number(1)]);
    return { inputs: { x: [batch, 4, side, side] }, output, dims: [batch, 3, side * 8, side * 8] };
  },
};

function convolution(model, x, input, output, hasBias = true) {
  const weight = model.random([output, input, 3, 3], 1 / Math.sqrt(input * 3));
  const bias = hasBias ? [model.random([output])] : [];
  return model.node('Conv', [x, weight, ...bias], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] });
}

function residual(model, x, channels) {
  const relu = (tensor) => model.node('Relu', [tensor]);
  const conv = (tensor) => convolution(model, tensor, channels, channels);
  return relu(model.node('Add', [conv(relu(conv(relu(conv(x))))), x]));
}

function doubled(model, x) {
  const scales = model.floats([4], Float32Array.of(1, 1, 2, 2));
  const how = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
  return model.node('Resize', [x, '', scales], how);
}

function packedProduct(model, x, input, output, bits) {
  const blocks = input / BLOCK;
  const weight = model.bytes([output, blocks, (BLOCK * bits) / 8]);
  const scales = model.random([output * blocks], 0.01);
  return model.node('MatMulNBits', [x, weight, scales], { K: input, N: output, bits, block_size: BLOCK }, MICROSOFT);
}
