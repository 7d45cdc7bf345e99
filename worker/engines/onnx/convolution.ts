import type { ConvolutionGeometry } from '../../windows.js';
import { positionsOf, tapsOf } from '../../windows.js';
import { exchange } from '../exchange.js';
import type { Operations } from '../operations.js';
import { RecordingOperations } from './operations.js';
import { runsOf } from './runs.js';
import { OnnxTensor } from './tensor.js';

/** Terms of one piece of a long sum: as many rows of both factors as stay in a cache. */
const pieceTerms = 1024;

/**
 * Convolutions as products of matrices. Neighbouring positions of a line are taken in runs: a run's windows overlap, so
 * that it reads fewer values than they, and one product of them with the kernel, repeated at each of its positions in a
 * banded matrix, is wide enough to be fast.
 *
 *   windows: n × (runs·patch), patch = (taps down)·(columns read)·channels;  band: patch × (K·length·filters)
 *
 * The adjoint for the input is the runtime's: one product an image, added up where its windows overlap.
 */
export abstract class RecordingConvolutions extends RecordingOperations implements Operations<OnnxTensor> {
  windows(a: OnnxTensor, geometry: ConvolutionGeometry) {
    const { input, channels } = geometry;
    const runs = runsOf(geometry);
    const rows = a.shape[0]!;
    const byLine = this.gatherColumns(this.reshape(a, [rows * input[0], input[1] * channels]), runs.line);
    const cube = this.reshape(byLine, [rows, input[0] * runs.ofLine, runs.columns * channels]);
    const windows = this.record((trace) => this.gatherBlocks(trace, cube, runs.patches));
    return this.reshape(windows, [rows, runs.ofImage * runs.patch]);
  }

  convolve(windows: OnnxTensor, kernels: OnnxTensor, geometry: ConvolutionGeometry) {
    const { ofImage, patch, length } = runsOf(geometry);
    const { filters } = geometry;
    const rows = windows.shape[0]!;
    const count = kernels.shape[1]! / filters;
    const product = this.matmul(
      this.reshape(windows, [rows * ofImage, patch]),
      this.#band(kernels, geometry),
    );
    const byKernel = exchange(this, this.reshape(product, [rows, ofImage, count, length * filters]));
    return this.reshape(byKernel, [rows, count * ofImage * length * filters]);
  }

  convolveBack(delta: OnnxTensor, kernels: OnnxTensor, geometry: ConvolutionGeometry) {
    const { input, channels, size, strides, dilation, padding, output, filters } = geometry;
    const rows = delta.shape[0]!;
    const count = kernels.shape[1]! / filters;
    const places = input[0] * input[1];
    const image = this.transpose(this.reshape(delta, [rows, positionsOf(geometry), filters]), [0, 2, 1]);
    const weights = this.transpose(
      this.reshape(kernels, [tapsOf(geometry), channels, count, filters]),
      [3, 2, 1, 0],
    );
    const unread = [0, 1].map((axis) => {
      const [before, after] = padding[axis]!;
      const reach = (output[axis]! - 1) * strides[axis]! + (size[axis]! - 1) * dilation[axis]! + 1;
      return input[axis]! - (reach - before - after);
    });
    const result = this.record((trace) => {
      const operands = [
        trace.read(this.reshape(image, [rows, filters, ...output])),
        trace.read(this.reshape(weights, [filters, count * channels, ...size])),
      ];
      const value = trace.node('ConvTranspose', operands, [rows, count * channels, ...input], {
        kernel_shape: size,
        strides,
        dilations: dilation,
        pads: [padding[0][0], padding[1][0], padding[0][1], padding[1][1]],
        output_padding: unread,
      });
      return new OnnxTensor(value.shape, value);
    });
    const byKernel = this.transpose(this.reshape(result, [rows, count, channels, places]), [0, 1, 3, 2]);
    return this.reshape(byKernel, [rows, count * places * channels]);
  }

  kernelGradient(windows: OnnxTensor, delta: OnnxTensor, geometry: ConvolutionGeometry) {
    const { channels, filters } = geometry;
    const { ofImage, patch, length, unband } = runsOf(geometry);
    const rows = Math.min(windows.shape[0]!, delta.shape[0]!);
    const [inputs, deltas] = [windows.shape[0]! / rows, delta.shape[0]! / rows];
    const byRun = (tensor: OnnxTensor, count: number, width: number) => {
      const cube = exchange(this, this.reshape(tensor, [rows, count, ofImage, width]));
      return this.reshape(cube, [rows * ofImage, count * width]);
    };
    const banded = this.#product(byRun(windows, inputs, patch), byRun(delta, deltas, length * filters));
    const kernels = tapsOf(geometry) * channels * inputs * deltas;
    const cube = this.reshape(banded, [1, inputs * patch * deltas * length, filters]);
    const ofRuns = this.record((trace) => this.gatherBlocks(trace, cube, unband(inputs, deltas)));
    const sums = length === 1 ? ofRuns : this.sum(this.reshape(ofRuns, [kernels, length, filters]), 1);
    return this.reshape(sums, [tapsOf(geometry) * channels, inputs * deltas * filters]);
  }

  /** aᵀ·b over many rows, in pieces that are added up afterwards: faster than in one, and rounded less. */
  #product(a: OnnxTensor, b: OnnxTensor) {
    const [[terms, left], [, right]] = [a.shape, b.shape] as [[number, number], [number, number]];
    const pieces = largestDivisor(terms, Math.floor(terms / pieceTerms));
    const cube = (of: OnnxTensor, width: number) => this.reshape(of, [pieces, terms / pieces, width]);
    const [narrow, wide, inner, columns] = left < right ? [a, b, left, right] : [b, a, right, left];
    const products = this.record((trace) => {
      const transposed = this.transpose(cube(narrow, inner), [0, 2, 1]);
      const operands = [trace.read(transposed), trace.read(cube(wide, columns))];
      const value = trace.node('MatMul', operands, [pieces, inner, columns]);
      return new OnnxTensor(value.shape, value);
    });
    const sums = this.sum(this.reshape(products, [pieces, inner * columns]), 0);
    const matrix = this.reshape(sums, [inner, columns]);
    return narrow === a ? matrix : this.transpose(matrix, [1, 0]);
  }

  /** Kernels (taps·channels) × (K·filters) at each position of a run: patch × (K·length·filters). */
  #band(kernels: OnnxTensor, geometry: ConvolutionGeometry) {
    const { patch, length, band } = runsOf(geometry);
    const [height, width] = kernels.shape as [number, number];
    const count = width / geometry.filters;
    const blocks = this.reshape(kernels, [1, height * count, geometry.filters]);
    const banded = this.record((trace) => this.gatherBlocks(trace, blocks, band(count)));
    return this.reshape(banded, [patch, count * length * geometry.filters]);
  }
}

/** Of `length`, at most `most`; 1 at least. */
function largestDivisor(length: number, most: number): number {
  for (let divisor = most; divisor > 1; divisor--) if (length % divisor === 0) return divisor;
  return 1;
}
