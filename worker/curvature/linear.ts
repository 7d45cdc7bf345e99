import type { Operations } from '../engines/operations.js';
import { inTwoSteps, mapEachTangent, sumOfAxis, withoutParameters } from './layer.js';
import type { Layer, TangentMaps } from './layer.js';
import { inputSize, positionsOf, repeated, tapsOf, windowIndices, windowsOfPlaces } from '../windows.js';
import type { WindowGeometry } from '../windows.js';

export interface LinearMap<T> {
  /** Values of a row before and after. */
  inputs: number;
  outputs: number;
  /** n × inputs to n × outputs, a row at a time. */
  forward: (rows: T) => T;
  /** Its adjoint, n × outputs to n × inputs. */
  adjoint: (rows: T) => T;
  /** 1 × outputs, added to the output. */
  offset?: T;
  /** Tensors of the map. */
  held?: readonly T[];
}

/** h = M·x + c with constant M and c: Rh = M·Rx, ∂x = Mᵀ·δ, R∂x = Mᵀ·Rδ. */
export function linearLayer<T>(
  ops: Operations<T>,
  name: string,
  { inputs, outputs, forward, adjoint, offset, held = [] }: LinearMap<T>,
): Layer<T> {
  const back = (tangent: T) => mapEachTangent(ops, tangent, outputs, adjoint);
  const maps: TangentMaps<T> = {
    held: [],
    pieces: [],
    forward: (_directions, [tangent]) => ({
      outputTangent: mapEachTangent(ops, tangent!, inputs, forward),
      backward: (delta) => ({ slices: [], inputDeltaTangents: [back(delta)] }),
    }),
    selectRows: () => maps,
  };
  return {
    ...withoutParameters,
    name,
    held,
    forward: ([first]) => ({
      output: offset === undefined ? forward(first!) : ops.add(forward(first!), offset),
      backward: (delta) => ({ slices: [], inputDeltas: [back(delta)], tangentMaps: () => maps }),
    }),
  };
}

/** Copies: value j of the output is value `indices[j]` of the input, 0 where that is −1. Padding, upsampling. */
export function copyMap<T>(ops: Operations<T>, inputs: number, indices: Int32Array): LinearMap<T> {
  return {
    inputs,
    outputs: indices.length,
    forward: (rows) => ops.gatherColumns(rows, indices),
    adjoint: (rows) => ops.scatterColumns(rows, indices, inputs),
  };
}

/** The mean of each window, padding not counted. */
export function averageMap<T>(ops: Operations<T>, geometry: WindowGeometry): LinearMap<T> {
  const taps = tapsOf(geometry);
  const outputs = positionsOf(geometry) * geometry.channels;
  const inputs = inputSize(geometry);
  const indices = windowIndices(geometry, 'taps');
  const shares = ops.constant(
    Float32Array.from({ length: outputs }, (_, i) => {
      const window = indices.subarray(i * taps, (i + 1) * taps);
      return 1 / window.reduce((inside, index) => (index < 0 ? inside : inside + 1), 0);
    }),
    [1, outputs],
  );
  const map = { inputs, outputs, held: [shares] };
  const windowOf = windowsOfPlaces(geometry);
  if (windowOf !== undefined && taps < inTwoSteps)
    return {
      ...map,
      forward: (rows) => ops.mul(ops.scatterColumns(rows, windowOf, outputs), shares),
      adjoint: (rows) => ops.gatherColumns(ops.mul(rows, shares), windowOf),
    };
  const spread = repeated(outputs, taps);
  return {
    ...map,
    forward(rows) {
      const windows = ops.gatherColumns(rows, indices);
      const [count] = ops.shape(rows) as [number];
      const sums = sumOfAxis(ops, ops.reshape(windows, [count * outputs, taps]), 1);
      return ops.mul(ops.reshape(sums, [count, outputs]), shares);
    },
    adjoint: (rows) => ops.scatterColumns(ops.gatherColumns(ops.mul(rows, shares), spread), indices, inputs),
  };
}
