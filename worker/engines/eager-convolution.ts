import type { ConvolutionGeometry } from '../windows.js';
import { adjointPadding, positionsOf, spacedIndices, tapsOf } from '../windows.js';
import { exchange } from './exchange.js';
import type { Operations } from './operations.js';

type Pair<V> = readonly [vertical: V, horizontal: V];

export interface ConvolutionOptions {
  strides: Pair<number>;
  dilation: Pair<number>;
  padding: Pair<readonly [before: number, after: number]>;
}

/** What convolutions and their adjoints are made of where a library convolves and differentiates nothing else. */
type Convolving<T> = Pick<
  Operations<T>,
  'shape' | 'reshape' | 'transpose' | 'add' | 'gatherRows' | 'gatherColumns' | 'sliceRows'
> & {
  /**
   * n × height × width × c with kernels height × width × c × m: n × height × width × m. Strides and dilation are not
   * both above 1; `padding` are the zeros before and after each axis.
   */
  conv2d(a: T, kernel: T, options: ConvolutionOptions): T;
};

/**
 * Float32 adds the terms of one long product one after the other, with a relative error of 2.4e-8·√terms: kernel
 * gradients are summed over pieces of the batch of no more terms than this.
 */
const maxTerms = 4096;

/** `Operations.convolve` */
export function convolve<T>(ops: Convolving<T>, rows: T, kernels: T, geometry: ConvolutionGeometry): T {
  const { input, channels, size, strides, dilation, padding, filters } = geometry;
  const [n] = ops.shape(rows) as [number];
  const count = ops.shape(kernels)[1]! / filters;
  const positions = positionsOf(geometry);
  const image = ops.reshape(rows, [n, ...input, channels]);
  const weights = ops.reshape(kernels, [...size, channels, count * filters]);
  const result = ops.conv2d(image, weights, { strides, dilation, padding });
  const byKernel = exchange(ops, ops.reshape(result, [n, positions, count, filters]));
  return ops.reshape(byKernel, [n, count * positions * filters]);
}

/**
 * `Operations.convolveBack`: a convolution again, of δ, zeros between its values where a stride skips places, with the
 * taps of W in reverse and its channels and filters exchanged.
 */
export function convolveBack<T>(ops: Convolving<T>, delta: T, kernels: T, geometry: ConvolutionGeometry): T {
  const { input, channels, size, strides, dilation, output, filters } = geometry;
  const [n] = ops.shape(delta) as [number];
  const count = ops.shape(kernels)[1]! / filters;
  const taps = tapsOf(geometry);
  const reversedTaps = Int32Array.from({ length: taps }, (_, tap) => taps - 1 - tap);
  const turned = ops.gatherRows(ops.reshape(kernels, [taps, channels * count * filters]), reversedTaps);
  const cube = ops.transpose(ops.reshape(turned, [taps, channels, count, filters]), [0, 3, 2, 1]);
  const reversed = ops.reshape(cube, [...size, filters, count * channels]);
  const spaced = spacedIndices(geometry, filters);
  const [height, width] = [0, 1].map((axis) => (output[axis]! - 1) * strides[axis]! + 1) as [number, number];
  const image = ops.reshape(spaced === undefined ? delta : ops.gatherColumns(delta, spaced), [
    ...[n, height, width],
    filters,
  ]);
  const options = { strides: [1, 1], dilation, padding: adjointPadding(geometry) } as const;
  const result = ops.conv2d(image, reversed, options);
  const byKernel = exchange(ops, ops.reshape(result, [n, input[0] * input[1], count, channels]));
  return ops.reshape(byKernel, [n, count * input[0] * input[1] * channels]);
}

/**
 * `Operations.kernelGradient`: a convolution again, of the input as channels × height × width × rows with δ as its kernel;
 * rows are the channels that are summed over, strides and dilation change places.
 */
export function kernelGradient<T>(ops: Convolving<T>, rows: T, delta: T, geometry: ConvolutionGeometry): T {
  const { input, channels, size, strides, dilation, padding, output, filters } = geometry;
  const [positions, taps] = [positionsOf(geometry), tapsOf(geometry)];
  const [ofInput, ofDelta] = [ops.shape(rows)[0]!, ops.shape(delta)[0]!];
  const n = Math.min(ofInput, ofDelta);
  const [inputs, deltas] = [ofInput / n, ofDelta / n];
  const byRow = ops.reshape(rows, [n, inputs, input[0] * input[1], channels]);
  const deltaByRow = ops.reshape(delta, [n, deltas, positions, filters]);
  const chunk = Math.max(1, Math.floor(maxTerms / positions));
  const parts = Array.from({ length: Math.ceil(n / chunk) }, (_, i) => {
    const [from, to] = [i * chunk, Math.min(n, (i + 1) * chunk)];
    const cut = (tensor: T) => (n <= chunk ? tensor : ops.sliceRows(tensor, from, to));
    const images = ops.reshape(ops.transpose(cut(byRow), [1, 3, 2, 0]), [
      inputs * channels,
      ...input,
      to - from,
    ]);
    const kernels = ops.reshape(ops.transpose(cut(deltaByRow), [2, 0, 1, 3]), [
      ...output,
      to - from,
      deltas * filters,
    ]);
    return ops.conv2d(images, kernels, { strides: dilation, dilation: strides, padding });
  });
  const sum = parts.reduce((total, part) => ops.add(total, part));
  // Where the last window does not reach the end of the input, there are taps too many.
  const [, height, width] = ops.shape(sum) as [number, number, number];
  const cube = ops.reshape(sum, [inputs, channels, height * width, deltas * filters]);
  const byTap = ops.reshape(ops.transpose(cube, [2, 1, 0, 3]), [
    height * width,
    channels * inputs * deltas * filters,
  ]);
  const wanted = Int32Array.from(
    { length: taps },
    (_, tap) => Math.floor(tap / size[1]) * width + (tap % size[1]),
  );
  const exact = height === size[0] && width === size[1] ? byTap : ops.gatherRows(byTap, wanted);
  return ops.reshape(exact, [taps * channels, inputs * deltas * filters]);
}
