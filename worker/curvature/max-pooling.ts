import type { Operations } from '../engines/operations.js';
import { mapEachTangent, matrixShape, mulEachTangent, withoutParameters } from './layer.js';
import type { Layer, TangentMaps } from './layer.js';
import { inputSize, positionsOf, repeated, tapsOf, windowIndices } from '../windows.js';
import type { WindowGeometry } from '../windows.js';

/**
 * The largest value of each window; of equal ones the first counts, as in TensorFlow.js. Where the largest stays the
 * same one the map is a linear choice, so Rh = Σ mask·Rx over the window, and its adjoint spreads δ by the mask.
 */
export function maxPoolingLayer<T>(ops: Operations<T>, name: string, geometry: WindowGeometry): Layer<T> {
  const taps = tapsOf(geometry);
  const outputs = positionsOf(geometry) * geometry.channels;
  const indices = windowIndices(geometry, 'taps');
  const spread = repeated(outputs, taps);
  const values = outputs * taps;
  const padded = indices.includes(-1);
  /** Below every value where a window reaches into the padding. */
  const floor = padded
    ? ops.constant(
        Float32Array.from(indices, (index) => (index < 0 ? -3e38 : 0)),
        [1, values],
      )
    : undefined;
  /** The first tap the highest, each one half a unit or more above the next. */
  const ranks = ops.constant(
    Float32Array.from({ length: taps }, (_, tap) => taps - tap),
    [1, taps],
  );

  const choose = (mask: T, tangent: T) => {
    const windows = mapEachTangent(ops, tangent, inputSize(geometry), (rows) =>
      ops.gatherColumns(rows, indices),
    );
    return sumOfWindows(mulEachTangent(ops, mask, windows));
  };
  const sumOfWindows = (windows: T) => {
    const [rows, width] = matrixShape(ops, windows);
    return ops.reshape(ops.sum(ops.reshape(windows, [(rows * width) / taps, taps]), 1), [rows, width / taps]);
  };
  const spreadBack = (mask: T, delta: T) => {
    const windows = mapEachTangent(ops, delta, outputs, (rows) => ops.gatherColumns(rows, spread));
    return mapEachTangent(ops, mulEachTangent(ops, mask, windows), values, (rows) =>
      ops.scatterColumns(rows, indices, inputSize(geometry)),
    );
  };
  /** 1 at the first largest value of each window of rows × (outputs·taps), else 0. */
  const maskOf = (windows: T, largest: T) => {
    const flat = ops.reshape(windows, [ops.shape(largest)[0]!, taps]);
    const below = ops.step(ops.sub(largest, flat));
    const score = ops.sub(ranks, ops.scale(below, taps));
    const best = ops.sub(ops.max(score, 1), ops.fill([1, 1], 0.5));
    return ops.reshape(ops.step(ops.sub(score, best)), ops.shape(windows));
  };

  const maps = (mask: T): TangentMaps<T> => ({
    held: [mask],
    pieces: [mask],
    forward: (_directions, [tangent]) => ({
      outputTangent: choose(mask, tangent!),
      backward: (delta) => ({ slices: [], inputDeltaTangents: [spreadBack(mask, delta)] }),
    }),
    selectRows: (rows) => maps(ops.gatherRows(mask, rows)),
  });

  return {
    ...withoutParameters,
    name,
    held: floor === undefined ? [ranks] : [ranks, floor],
    forward([first]) {
      const gathered = ops.gatherColumns(first!, indices);
      const windows = floor === undefined ? gathered : ops.add(gathered, floor);
      const rows = matrixShape(ops, windows)[0];
      const largest = ops.max(ops.reshape(windows, [rows * outputs, taps]), 1);
      return {
        output: ops.reshape(largest, [rows, outputs]),
        backward(delta) {
          const mask = maskOf(windows, largest);
          return {
            slices: [],
            inputDeltas: [spreadBack(mask, delta)],
            tangentMaps: () => maps(mask),
          };
        },
      };
    },
  };
}
