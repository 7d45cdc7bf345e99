import type { Operations } from '../engines/operations.js';
import { addPresent, exchange, mapEachTangent, matrixShape } from './layer.js';
import type { Layer, ParameterDirections, TangentMaps } from './layer.js';
import { adjointPadding, inputSize, positionsOf, spacedIndices, tapsOf } from './windows.js';
import type { WindowGeometry } from './windows.js';

export interface ConvolutionParameters<T> {
  /** (taps·channels) × filters */
  kernel: T;
  /** 1 × filters */
  bias: T | undefined;
}

/**
 * Float32 adds the terms of one long product one after the other, with a relative error of 2.4e-8·√terms: kernel
 * gradients are summed over pieces of the batch of no more terms than this.
 */
const maxTerms = 4096;

/**
 * z = a ∗ W + c over rows of height × width × channels, without its activation; with a 1 × 1 window, Dense on the last
 * axis. With ∗ᵀ the adjoint of ∗ in each of its arguments, the maps are those of Dense:
 * ∂W = a ∗ᵀ δ, ∂c = Σ δ, ∂a = δ ∗ᵀ W;  Rz = a ∗ V + v + Ra ∗ W;  R∂W = a ∗ᵀ Rδ + Ra ∗ᵀ δ,  R∂a = Rδ ∗ᵀ W + δ ∗ᵀ V.
 *
 * ∗ᵀ for the kernel is a convolution again, of the input as channels × height × width × rows with δ as its kernel
 * (rows are the channels that are summed over, strides and dilation change places). ∗ᵀ for the input is one too, of δ,
 * zeros between its values where a stride skips places, with the taps of W in reverse and its channels and filters
 * exchanged.
 */
export function convolutionLayer<T>(
  ops: Operations<T>,
  name: string,
  geometry: WindowGeometry,
  { kernel, bias }: ConvolutionParameters<T>,
  inputVaries: boolean,
): Layer<T> {
  const { input: spatial, channels, size, strides, dilation, padding, output } = geometry;
  const [positions, taps] = [positionsOf(geometry), tapsOf(geometry)];
  const filters = matrixShape(ops, kernel)[1];
  const parameters = bias === undefined ? [kernel] : [kernel, bias];
  const kernel4d = ops.reshape(kernel, [...size, channels, filters]);
  const reversedTaps = Int32Array.from({ length: taps }, (_, tap) => taps - 1 - tap);
  /** K kernels, (taps·channels) × (K·filters), as those of ∗ᵀ for the input: taps × filters × (K·channels). */
  const reverse = (kernels: T) => {
    const count = matrixShape(ops, kernels)[1] / filters;
    const turned = ops.gatherRows(ops.reshape(kernels, [taps, channels * count * filters]), reversedTaps);
    const cube = ops.reshape(turned, [taps, channels, count, filters]);
    return ops.reshape(ops.transpose(cube, [0, 3, 2, 1]), [...size, filters, count * channels]);
  };
  const kernelReversed = inputVaries ? reverse(kernel) : undefined;

  /** rows × input with taps × channels × n: rows × (positions·n). */
  const convolve = (rows: T, weights: T) => {
    const count = matrixShape(ops, rows)[0];
    const image = ops.reshape(rows, [count, ...spatial, channels]);
    const result = ops.conv2d(image, weights, { strides, dilation, padding });
    return ops.reshape(result, [count, positions * ops.shape(weights)[3]!]);
  };

  const chunk = Math.max(1, Math.floor(maxTerms / positions));
  const inChunks = (tensor: T, view: (part: T, rows: number) => T) => {
    const rows = matrixShape(ops, tensor)[0];
    return Array.from({ length: Math.ceil(rows / chunk) }, (_, i) => {
      const [from, to] = [i * chunk, Math.min(rows, (i + 1) * chunk)];
      return view(rows <= chunk ? tensor : ops.sliceRows(tensor, from, to), to - from);
    });
  };
  /** A tangent of the input, b × (K·input), as (K·channels) × height × width × b. */
  const images = (tangent: T) =>
    inChunks(tangent, (part, rows) => {
      const count = matrixShape(ops, part)[1] / inputSize(geometry);
      const cube = ops.reshape(part, [rows, count, spatial[0] * spatial[1], channels]);
      return ops.reshape(ops.transpose(cube, [1, 3, 2, 0]), [count * channels, ...spatial, rows]);
    });
  /** A tangent of the output, b × (K·positions·filters), as height × width × b × (K·filters). */
  const kernels = (tangent: T) =>
    inChunks(tangent, (part, rows) => {
      const count = matrixShape(ops, part)[1] / (positions * filters);
      const cube = ops.reshape(part, [rows, count, positions, filters]);
      return ops.reshape(ops.transpose(cube, [2, 0, 1, 3]), [...output, rows, count * filters]);
    });
  /** Σ over rows and positions: (taps·channels) × (K·filters), K from whichever of the two is a tangent. */
  const kernelGradient = (left: readonly T[], right: readonly T[]): T => {
    const parts = left.map((image, i) =>
      ops.conv2d(image, right[i]!, { strides: dilation, dilation: strides, padding }),
    );
    const sum = parts.reduce((total, part) => ops.add(total, part));
    // Where the last window does not reach the end of the input, there are taps too many.
    const [planes, height, width, units] = ops.shape(sum) as [number, number, number, number];
    const count = planes / channels;
    const cube = ops.reshape(sum, [count, channels, height * width, units]);
    const byTap = ops.reshape(ops.transpose(cube, [2, 1, 0, 3]), [height * width, channels * count * units]);
    const wanted = Int32Array.from(
      { length: taps },
      (_, tap) => Math.floor(tap / size[1]) * width + (tap % size[1]),
    );
    const exact = height === size[0] && width === size[1] ? byTap : ops.gatherRows(byTap, wanted);
    return ops.reshape(exact, [taps * channels, count * units]);
  };
  /** Σ over rows and positions of a tangent of the output: 1 × (K·filters). */
  const sumOf = (right: readonly T[]): T => {
    const parts = right.map((part) =>
      ops.conv2d(ops.fill([1, ...output, ops.shape(part)[2]!], 1), part, sumOptions),
    );
    const sum = parts.reduce((total, part) => ops.add(total, part));
    return ops.reshape(sum, [1, ops.shape(sum)[3]!]);
  };
  const gradients = (left: readonly T[], right: readonly T[], more?: T) => {
    const ofKernel = addPresent(ops, kernelGradient(left, right), more);
    return bias === undefined ? [ofKernel] : [ofKernel, sumOf(right)];
  };

  const spaced = spacedIndices(geometry, filters);
  const spacedSize = [0, 1].map((axis) => (output[axis]! - 1) * strides[axis]! + 1);
  const around = adjointPadding(geometry);
  /** rows × (positions·filters) with reversed kernels of n channels: rows × (input positions·n). */
  const convolveBack = (rows: T, reversed: T) => {
    const count = matrixShape(ops, rows)[0];
    const values = spaced === undefined ? rows : ops.gatherColumns(rows, spaced);
    const image = ops.reshape(values, [count, ...spacedSize, filters]);
    const result = ops.conv2d(image, reversed, { strides: [1, 1], dilation, padding: around });
    return ops.reshape(result, [count, spatial[0] * spatial[1] * ops.shape(reversed)[3]!]);
  };

  /** `delta` is absent where no term carries it. */
  const tangentMaps = (input: T, inputImages: readonly T[], delta: T | undefined): TangentMaps<T> => {
    const deltaKernels = delta === undefined ? [] : kernels(delta);
    return {
      held: [input, ...inputImages, ...(delta === undefined ? [] : [delta]), ...deltaKernels],
      pieces: [],
      forward(directions, [inputTangent]) {
        const throughInput =
          inputTangent &&
          mapEachTangent(ops, inputTangent, inputSize(geometry), (rows) => convolve(rows, kernel4d));
        return {
          outputTangent: addPresent(ops, directions!.forward(input), throughInput),
          backward: (deltaTangent) => ({
            slices: gradients(
              inputImages,
              kernels(deltaTangent),
              inputTangent && deltaKernels.length > 0
                ? kernelGradient(images(inputTangent), deltaKernels)
                : undefined,
            ),
            inputDeltaTangents: [
              kernelReversed &&
                addPresent(
                  ops,
                  mapEachTangent(ops, deltaTangent, positions * filters, (rows) =>
                    convolveBack(rows, kernelReversed),
                  ),
                  delta && directions!.backward(delta),
                ),
            ],
          }),
        };
      },
      selectRows(indices) {
        const rows = ops.gatherRows(input, indices);
        return tangentMaps(rows, images(rows), delta && ops.gatherRows(delta, indices));
      },
    };
  };

  /** V as (taps·channels) × (K·filters), v as 1 × (K·filters). */
  const direct = ([kernelTangents, biasTangents]: readonly T[]): ParameterDirections<T> => {
    const count = matrixShape(ops, kernelTangents!)[1] / filters;
    const weights = ops.reshape(kernelTangents!, [...size, channels, count * filters]);
    const reversed = inputVaries ? reverse(kernelTangents!) : undefined;
    return {
      held: reversed === undefined ? [weights] : [weights, reversed],
      forward(input) {
        const result = addToPositions(ops, convolve(input, weights), biasTangents);
        return exchange(ops, result, positions, count);
      },
      backward: (delta) => exchange(ops, convolveBack(delta, reversed!), spatial[0] * spatial[1], count),
    };
  };

  return {
    name,
    sliceCount: parameters.length,
    held: [...parameters, kernel4d, ...(kernelReversed === undefined ? [] : [kernelReversed])],
    forward: ([first]) => ({
      output: addToPositions(ops, convolve(first!, kernel4d), bias),
      backward(delta) {
        const inputImages = images(first!);
        return {
          slices: gradients(inputImages, kernels(delta)),
          inputDeltas: [kernelReversed && convolveBack(delta, kernelReversed)],
          tangentMaps: (curvature) =>
            tangentMaps(first!, inputImages, inputVaries && curvature === 'hessian' ? delta : undefined),
        };
      },
    }),
    direct,
  };
}

const sumOptions = {
  strides: [1, 1],
  dilation: [1, 1],
  padding: [
    [0, 0],
    [0, 0],
  ],
} as const;

/** Adds 1 × n to each n values of a row. */
function addToPositions<T>(ops: Operations<T>, tensor: T, bias: T | undefined): T {
  if (bias === undefined) return tensor;
  const [rows, width] = matrixShape(ops, tensor);
  const units = matrixShape(ops, bias)[1];
  const sum = ops.add(ops.reshape(tensor, [(rows * width) / units, units]), bias);
  return ops.reshape(sum, [rows, width]);
}
