import type { Operations } from '../engines/operations.js';
import {
  addPresent,
  mapEachTangent,
  matrixShape,
  mulEachTangent,
  sumOfAxis,
  sumOfPositions,
  sumOfRows,
} from './layer.js';
import type { Layer, ParameterDirections, TangentMaps } from './layer.js';
import { cycled, inputSize, positionsOf, repeated, tapsOf, windowIndices } from '../windows.js';
import type { WindowGeometry } from '../windows.js';

export interface DepthwiseParameters<T> {
  /** (taps·channels) × multiplier */
  kernel: T;
  /** 1 × (channels·multiplier) */
  bias: T | undefined;
}

/**
 * Each channel convolved with `multiplier` kernels of its own, without its activation: z = Σ over taps of X·w, where X
 * are the values of every window, b × (positions·channels·multiplier·taps), and w the kernel at each of those places.
 * ∂w = Σ X·δ over rows and positions, ∂x = the windows' δ·w summed where they were read, and so for the tangents.
 */
export function depthwiseLayer<T>(
  ops: Operations<T>,
  name: string,
  geometry: WindowGeometry,
  { kernel, bias }: DepthwiseParameters<T>,
  inputVaries: boolean,
): Layer<T> {
  const multiplier = matrixShape(ops, kernel)[1];
  const [positions, taps] = [positionsOf(geometry), tapsOf(geometry)];
  const outputs = geometry.channels * multiplier;
  const values = positions * outputs * taps;
  const indices = windowIndices(geometry, 'taps', multiplier);
  const spread = repeated(positions * outputs, taps);
  const places = cycled(outputs * taps, positions);
  const biasPlaces = cycled(outputs, positions);
  const parameters = bias === undefined ? [kernel] : [kernel, bias];

  /** K kernels, (taps·channels) × (K·multiplier), at the places of the windows: 1 × (K·values). */
  const atWindows = (kernels: T) => {
    const count = matrixShape(ops, kernels)[1] / multiplier;
    const cube = ops.reshape(kernels, [taps, geometry.channels, count, multiplier]);
    const rows = ops.reshape(ops.transpose(cube, [2, 1, 3, 0]), [count, outputs * taps]);
    return ops.reshape(ops.gatherColumns(rows, places), [1, count * values]);
  };
  /** 1 × (K·outputs) to 1 × (K·positions·outputs). */
  const atPositions = (biases: T) =>
    mapEachTangent(ops, biases, outputs, (rows) => ops.gatherColumns(rows, biasPlaces));
  const windowsOf = (tangent: T) =>
    mapEachTangent(ops, tangent, inputSize(geometry), (rows) => ops.gatherColumns(rows, indices));
  const spreadOf = (delta: T) =>
    mapEachTangent(ops, delta, positions * outputs, (rows) => ops.gatherColumns(rows, spread));
  const sumOfTaps = (products: T) => {
    const [rows, width] = matrixShape(ops, products);
    return ops.reshape(ops.sum(ops.reshape(products, [(rows * width) / taps, taps]), 1), [
      rows,
      width / taps,
    ]);
  };
  const collect = (windows: T) =>
    mapEachTangent(ops, windows, values, (rows) => ops.scatterColumns(rows, indices, inputSize(geometry)));
  /** b × (K·values) to (taps·channels) × (K·multiplier), summed over rows and positions. */
  const kernelGradient = (products: T) => {
    const sums = sumOfRows(ops, products);
    const count = matrixShape(ops, sums)[1] / values;
    const summed = sumOfAxis(ops, ops.reshape(sums, [count, positions, outputs * taps]), 1);
    const cube = ops.reshape(summed, [count, geometry.channels, multiplier, taps]);
    return ops.reshape(ops.transpose(cube, [3, 1, 0, 2]), [taps * geometry.channels, count * multiplier]);
  };
  const gradients = (products: T, delta: T) => {
    const ofKernel = kernelGradient(products);
    return bias === undefined ? [ofKernel] : [ofKernel, sumOfPositions(ops, delta, positions, outputs)];
  };

  const weights = atWindows(kernel);
  const wideBias = bias === undefined ? undefined : atPositions(bias);

  /** `windows` X; `spreadDelta` δ at the windows, absent where no term carries it. */
  const tangentMaps = (windows: T, spreadDelta: T | undefined): TangentMaps<T> => ({
    held: spreadDelta === undefined ? [windows] : [windows, spreadDelta],
    pieces: [],
    forward(directions, [inputTangent]) {
      const windowTangents = inputTangent && windowsOf(inputTangent);
      const throughInput = windowTangents && sumOfTaps(mulEachTangent(ops, weights, windowTangents));
      return {
        outputTangent: addPresent(ops, directions!.forward(windows), throughInput),
        backward(deltaTangent) {
          const spreadTangent = spreadOf(deltaTangent);
          const products = addPresent(
            ops,
            mulEachTangent(ops, windows, spreadTangent),
            windowTangents && spreadDelta && mulEachTangent(ops, spreadDelta, windowTangents),
          );
          return {
            slices: gradients(products, deltaTangent),
            inputDeltaTangents: [
              inputVaries
                ? collect(
                    addPresent(
                      ops,
                      mulEachTangent(ops, weights, spreadTangent),
                      spreadDelta && directions!.backward(spreadDelta),
                    ),
                  )
                : undefined,
            ],
          };
        },
      };
    },
    selectRows: (rows) =>
      tangentMaps(ops.gatherRows(windows, rows), spreadDelta && ops.gatherRows(spreadDelta, rows)),
  });

  const direct = ([kernels, biases]: readonly T[]): ParameterDirections<T> => {
    const wide = atWindows(kernels!);
    const wideBiases = biases && atPositions(biases);
    return {
      held: wideBiases === undefined ? [wide] : [wide, wideBiases],
      forward(windows) {
        const product = sumOfTaps(mulEachTangent(ops, windows, wide));
        return wideBiases === undefined ? product : ops.add(product, wideBiases);
      },
      backward: (spreadDelta) => mulEachTangent(ops, spreadDelta, wide),
    };
  };

  return {
    name,
    sliceCount: parameters.length,
    held: wideBias === undefined ? [...parameters, weights] : [...parameters, weights, wideBias],
    forward([first]) {
      const windows = ops.gatherColumns(first!, indices);
      const sums = sumOfTaps(ops.mul(windows, weights));
      return {
        output: wideBias === undefined ? sums : ops.add(sums, wideBias),
        backward(delta) {
          const spreadDelta = spreadOf(delta);
          return {
            slices: gradients(ops.mul(windows, spreadDelta), delta),
            inputDeltas: [inputVaries ? collect(ops.mul(spreadDelta, weights)) : undefined],
            tangentMaps: (curvature) =>
              tangentMaps(windows, inputVaries && curvature === 'hessian' ? spreadDelta : undefined),
          };
        },
      };
    },
    direct,
  };
}
