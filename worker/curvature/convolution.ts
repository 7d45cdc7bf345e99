import type { Operations } from '../engines/operations.js';
import { transposeEach } from './dense.js';
import { addPresent, exchange, mapEachTangent, matrixShape, sumOfPositions } from './layer.js';
import type { Layer, ParameterDirections, TangentMaps } from './layer.js';
import { inputSize, positionsOf, tapsOf, windowIndices } from './windows.js';
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
 * (rows are the channels that are summed over, strides and dilation change places). ∗ᵀ for the input is a product with
 * Wᵀ to the values of every window, and their sum at the places they were read from.
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
  const kernelTransposed = inputVaries ? ops.transpose(kernel, [1, 0]) : undefined;
  const kernel4d = ops.reshape(kernel, [...size, channels, filters]);
  /** With one tap at stride 1 each window is its input. */
  const indices =
    inputVaries && (taps > 1 || strides.some((stride) => stride > 1))
      ? windowIndices(geometry, 'channels')
      : undefined;

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
  const gradients = (left: readonly T[], right: readonly T[], delta: T, more?: T) => {
    const ofKernel = addPresent(ops, kernelGradient(left, right), more);
    return bias === undefined ? [ofKernel] : [ofKernel, sumOfPositions(ops, delta, positions, filters)];
  };

  /** A tangent of the output through Wᵀ, as values of every window. */
  const windowsOf = (tangent: T) =>
    mapEachTangent(ops, tangent, positions * filters, (rows) => {
      const count = matrixShape(ops, rows)[0];
      const values = ops.matmul(ops.reshape(rows, [count * positions, filters]), kernelTransposed!);
      return ops.reshape(values, [count, positions * taps * channels]);
    });
  /** Values of every window to the sums of what was read from each place. */
  const collect = (windows: T) =>
    indices === undefined
      ? windows
      : mapEachTangent(ops, windows, indices.length, (rows) =>
          ops.scatterColumns(rows, indices, inputSize(geometry)),
        );

  /** `delta` and `deltaKernels`, made of it, are absent where no term carries them. */
  const tangentMaps = (input: T, delta: T | undefined): TangentMaps<T> => {
    const deltaKernels = delta === undefined ? [] : kernels(delta);
    return {
      held: [input, ...(delta === undefined ? [] : [delta]), ...deltaKernels],
      pieces: [],
      forward(directions, [inputTangent]) {
        const throughInput =
          inputTangent &&
          mapEachTangent(ops, inputTangent, inputSize(geometry), (rows) => convolve(rows, kernel4d));
        return {
          outputTangent: addPresent(ops, directions!.forward(input), throughInput),
          backward: (deltaTangent) => ({
            slices: gradients(
              images(input),
              kernels(deltaTangent),
              deltaTangent,
              inputTangent && deltaKernels.length > 0
                ? kernelGradient(images(inputTangent), deltaKernels)
                : undefined,
            ),
            inputDeltaTangents: [
              inputVaries
                ? collect(addPresent(ops, windowsOf(deltaTangent), delta && directions!.backward(delta)))
                : undefined,
            ],
          }),
        };
      },
      selectRows: (rows) => tangentMaps(ops.gatherRows(input, rows), delta && ops.gatherRows(delta, rows)),
    };
  };

  /** V as (taps·channels) × (K·filters), v as 1 × (K·filters); δ goes through Vᵀ to values of every window. */
  const direct = ([kernelTangents, biasTangents]: readonly T[]): ParameterDirections<T> => {
    const count = matrixShape(ops, kernelTangents!)[1] / filters;
    const weights = ops.reshape(kernelTangents!, [...size, channels, count * filters]);
    const transposed = inputVaries ? transposeEach(ops, kernelTangents!, filters) : undefined;
    return {
      held: transposed === undefined ? [weights] : [weights, transposed],
      forward(input) {
        const result = addToPositions(ops, convolve(input, weights), biasTangents);
        return exchange(ops, result, positions, count);
      },
      backward(delta) {
        const rows = matrixShape(ops, delta)[0];
        const values = ops.matmul(ops.reshape(delta, [rows * positions, filters]), transposed!);
        const windows = ops.reshape(values, [rows, positions * count * taps * channels]);
        return exchange(ops, windows, positions, count);
      },
    };
  };

  return {
    name,
    sliceCount: parameters.length,
    held: [...parameters, kernel4d, ...(kernelTransposed === undefined ? [] : [kernelTransposed])],
    forward: ([first]) => ({
      output: addToPositions(ops, convolve(first!, kernel4d), bias),
      backward: (delta) => ({
        slices: gradients(images(first!), kernels(delta), delta),
        inputDeltas: [inputVaries ? collect(windowsOf(delta)) : undefined],
        tangentMaps: (curvature) =>
          tangentMaps(first!, inputVaries && curvature === 'hessian' ? delta : undefined),
      }),
    }),
    direct,
  };
}

/** Adds 1 × n to each n values of a row. */
function addToPositions<T>(ops: Operations<T>, tensor: T, bias: T | undefined): T {
  if (bias === undefined) return tensor;
  const [rows, width] = matrixShape(ops, tensor);
  const units = matrixShape(ops, bias)[1];
  const sum = ops.add(ops.reshape(tensor, [(rows * width) / units, units]), bias);
  return ops.reshape(sum, [rows, width]);
}
