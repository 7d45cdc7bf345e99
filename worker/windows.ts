import type { Padding } from '../protocol/layers.js';
import { windowOf } from '../protocol/shapes.js';

/** Where a window of `size` goes over rows of height × width × channels. */
export interface WindowGeometry {
  input: readonly [height: number, width: number];
  channels: number;
  size: readonly [number, number];
  strides: readonly [number, number];
  dilation: readonly [number, number];
  output: readonly [number, number];
  /** Zeros around the input that the window reaches. */
  padding: readonly [readonly [number, number], readonly [number, number]];
}

/** Windows of a convolution, with so many kernels. */
export interface ConvolutionGeometry extends WindowGeometry {
  filters: number;
}

/** `shape` and the options of one or two spatial axes; one axis is the width of rows of height 1. */
export function windowGeometry(
  shape: readonly number[],
  { size, strides, dilation }: Record<'size' | 'strides' | 'dilation', readonly number[]>,
  padding: Padding,
): WindowGeometry {
  const two = (values: readonly number[]): [number, number] =>
    values.length === 1 ? [1, values[0]!] : [values[0]!, values[1]!];
  const geometry = {
    input: two(shape.slice(0, -1)),
    channels: shape.at(-1)!,
    size: two(size),
    strides: two(strides),
    dilation: two(dilation),
  };
  const axis = (i: 0 | 1) => {
    const [length, extent] = [geometry.input[i], geometry.size[i]];
    const [stride, step] = [geometry.strides[i], geometry.dilation[i]];
    const { output, before } = windowOf(length, extent, stride, step, padding);
    const reach = (output - 1) * stride + (extent - 1) * step + 1;
    return { output, padding: [before, Math.max(reach - before - length, 0)] as const };
  };
  const [rows, columns] = [axis(0), axis(1)];
  return {
    ...geometry,
    output: [rows.output, columns.output],
    padding: [rows.padding, columns.padding],
  };
}

/** Values of one row: in the input, of one channel in the output. */
export const inputSize = ({ input, channels }: WindowGeometry) => input[0] * input[1] * channels;
export const positionsOf = ({ output }: WindowGeometry) => output[0] * output[1];
export const tapsOf = ({ size }: WindowGeometry) => size[0] * size[1];

/**
 * For each output position the places in a row of the input that its window reads, −1 for padding: position by
 * position, then tap by tap and channel by channel (`channels`), or channel by channel (each `repeat` times) and tap by
 * tap (`taps`), whichever is to be innermost.
 */
export function windowIndices(
  geometry: WindowGeometry,
  innermost: 'channels' | 'taps',
  repeat = 1,
): Int32Array {
  const { input, channels, size, strides, dilation, output, padding } = geometry;
  const taps = tapsOf(geometry);
  const indices = new Int32Array(positionsOf(geometry) * taps * channels * repeat);
  let next = 0;
  for (let y = 0; y < output[0]; y++)
    for (let x = 0; x < output[1]; x++) {
      const place = (tap: number, channel: number) => {
        const row = y * strides[0] + Math.floor(tap / size[1]) * dilation[0] - padding[0][0];
        const column = x * strides[1] + (tap % size[1]) * dilation[1] - padding[1][0];
        const inside = row >= 0 && row < input[0] && column >= 0 && column < input[1];
        return inside ? (row * input[1] + column) * channels + channel : -1;
      };
      if (innermost === 'channels')
        for (let tap = 0; tap < taps; tap++)
          for (let channel = 0; channel < channels; channel++) indices[next++] = place(tap, channel);
      else
        for (let channel = 0; channel < channels; channel++)
          for (let copy = 0; copy < repeat; copy++)
            for (let tap = 0; tap < taps; tap++) indices[next++] = place(tap, channel);
    }
  return indices;
}

/** An output with zeros at the places that its strides skipped, `depth` values a position; undefined without any. */
export function spacedIndices({ output, strides }: WindowGeometry, depth: number): Int32Array | undefined {
  if (strides.every((stride, axis) => stride === 1 || output[axis] === 1)) return undefined;
  const [height, width] = [0, 1].map((axis) => (output[axis]! - 1) * strides[axis]! + 1) as [number, number];
  const indices = new Int32Array(height * width * depth).fill(-1);
  for (let y = 0; y < output[0]; y++)
    for (let x = 0; x < output[1]; x++)
      for (let i = 0; i < depth; i++)
        indices[(y * strides[0] * width + x * strides[1]) * depth + i] = (y * output[1] + x) * depth + i;
  return indices;
}

/** The zeros around a spaced output that a window of the same size and dilation needs to reach every input place. */
export function adjointPadding(geometry: WindowGeometry): WindowGeometry['padding'] {
  const { input, size, strides, dilation, output, padding } = geometry;
  const axis = (i: 0 | 1) => {
    const [before] = padding[i];
    return [
      (size[i] - 1) * dilation[i] - before,
      input[i] - (output[i] - 1) * strides[i] - 1 + before,
    ] as const;
  };
  return [axis(0), axis(1)];
}

/**
 * For each place in a row of the input the place of the output whose window reads it, −1 for one that none reads;
 * undefined where windows overlap.
 */
export function windowsOfPlaces(geometry: WindowGeometry): Int32Array | undefined {
  const taps = tapsOf(geometry);
  const places = new Int32Array(inputSize(geometry)).fill(-1);
  for (const [i, place] of windowIndices(geometry, 'taps').entries()) {
    if (place < 0) continue;
    if (places[place]! >= 0) return undefined;
    places[place] = Math.floor(i / taps);
  }
  return places;
}

/** 0 … length − 1, each `times` in a row. */
export const repeated = (length: number, times: number) =>
  Int32Array.from({ length: length * times }, (_, i) => Math.floor(i / times));

/** 0 … length − 1, all of them `times` over. */
export const cycled = (length: number, times: number) =>
  Int32Array.from({ length: length * times }, (_, i) => i % length);
