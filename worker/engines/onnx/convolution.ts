import type { ConvolutionGeometry } from '../../windows.js';
import { positionsOf, tapsOf } from '../../windows.js';
import { exchange } from '../exchange.js';
import type { Operations } from '../operations.js';
import { RecordingOperations } from './operations.js';
import { runsOf } from './runs.js';
import { OnnxTensor } from './tensor.js';

/** The terms of one product, beyond which it is taken in pieces: float32 adds its blocks one after the other. */
const maxTerms = 2 ** 17;

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
    const left = byRun(windows, inputs, patch);
    const right = byRun(delta, deltas, length * filters);
    const pieces = Math.ceil((rows * ofImage) / maxTerms);
    const parts = Array.from({ length: pieces }, (_, i) => {
      const [from, to] = [i, i + 1].map((at) => Math.round((at * rows * ofImage) / pieces));
      const piece = (of: OnnxTensor) => (pieces === 1 ? of : this.sliceRows(of, from!, to!));
      return this.matmul(this.transpose(piece(left), [1, 0]), piece(right));
    });
    const banded = parts.reduce((sum, part) => this.add(sum, part));
    const kernels = tapsOf(geometry) * channels * inputs * deltas;
    const cube = this.reshape(banded, [1, inputs * patch * deltas * length, filters]);
    const ofRuns = this.record((trace) => this.gatherBlocks(trace, cube, unband(inputs, deltas)));
    const sums = length === 1 ? ofRuns : this.sum(this.reshape(ofRuns, [kernels, length, filters]), 1);
    return this.reshape(sums, [tapsOf(geometry) * channels, inputs * deltas * filters]);
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
