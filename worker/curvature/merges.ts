import type { Operations } from '../engines/operations.js';
import { addPresent, matrixShape, mulEachTangent, withoutParameters } from './layer.js';
import type { Layer, TangentMaps } from './layer.js';

/** h = Σ inputs. */
export function addLayer<T>(ops: Operations<T>, name: string): Layer<T> {
  const sum = (parts: readonly T[]) => parts.reduce((total, part) => ops.add(total, part));
  const maps = (count: number): TangentMaps<T> => ({
    held: [],
    pieces: [],
    forward: (_directions, tangents) => ({
      outputTangent: sum(tangents.filter((tangent) => tangent !== undefined)),
      backward: (delta) => ({ slices: [], inputDeltaTangents: Array<T>(count).fill(delta) }),
    }),
    selectRows: () => maps(count),
  });
  return {
    ...withoutParameters,
    name,
    forward: (inputs) => ({
      output: sum(inputs),
      backward: (delta) => ({
        slices: [],
        inputDeltas: Array<T>(inputs.length).fill(delta),
        tangentMaps: () => maps(inputs.length),
      }),
    }),
  };
}

/** h = a·b, elementwise: ∂a = δ·b, Rh = Ra·b + a·Rb, R∂a = Rδ·b + δ·Rb, and so for b. */
export function multiplyLayer<T>(ops: Operations<T>, name: string): Layer<T> {
  const times = (factor: T | undefined, tangent: T | undefined) =>
    factor === undefined || tangent === undefined ? undefined : mulEachTangent(ops, factor, tangent);
  const maps = (a: T, b: T, delta: T | undefined): TangentMaps<T> => ({
    held: delta === undefined ? [a, b] : [a, b, delta],
    pieces: [],
    forward: (_directions, [tangentA, tangentB]) => ({
      outputTangent: addPresent(ops, times(b, tangentA), times(a, tangentB))!,
      backward: (deltaTangent) => ({
        slices: [],
        inputDeltaTangents: [
          addPresent(ops, mulEachTangent(ops, b, deltaTangent), times(delta, tangentB)),
          addPresent(ops, mulEachTangent(ops, a, deltaTangent), times(delta, tangentA)),
        ],
      }),
    }),
    selectRows(indices) {
      const rows = (tensor: T) => ops.gatherRows(tensor, indices);
      return maps(rows(a), rows(b), delta === undefined ? undefined : rows(delta));
    },
  });
  return {
    ...withoutParameters,
    name,
    forward([first, second]) {
      const [a, b] = [first!, second!];
      return {
        output: ops.mul(a, b),
        backward: (delta) => ({
          slices: [],
          inputDeltas: [ops.mul(delta, b), ops.mul(delta, a)],
          tangentMaps: (curvature) => maps(a, b, curvature === 'hessian' ? delta : undefined),
        }),
      };
    },
  };
}

/** Inputs side by side: a row is runs, in each of which input i has `inner[i]` values. */
export function concatenateLayer<T>(ops: Operations<T>, name: string, inner: readonly number[]): Layer<T> {
  const total = inner.reduce((sum, length) => sum + length, 0);
  /** Rows and tangents alike: b × (K·outer·inner). */
  const join = (parts: readonly (T | undefined)[]) => {
    const [rows, width] = matrixShape(
      ops,
      parts.find((part) => part !== undefined)!,
    );
    const index = parts.findIndex((part) => part !== undefined);
    const runs = (rows * width) / inner[index]!;
    const joined = ops.concat(
      parts.map((part, i) =>
        part === undefined ? ops.fill([runs, inner[i]!], 0) : ops.reshape(part, [runs, inner[i]!]),
      ),
      1,
    );
    return ops.reshape(joined, [rows, (runs / rows) * total]);
  };
  const split = (delta: T) => {
    const [rows, width] = matrixShape(ops, delta);
    const runs = width / total;
    let from = 0;
    return inner.map((length) => {
      const indices = Int32Array.from({ length }, (_, i) => from + i);
      from += length;
      const part = ops.gatherColumns(ops.reshape(delta, [rows * runs, total]), indices);
      return ops.reshape(part, [rows, runs * length]);
    });
  };
  const maps: TangentMaps<T> = {
    held: [],
    pieces: [],
    forward: (_directions, tangents) => ({
      outputTangent: join(tangents),
      backward: (delta) => ({ slices: [], inputDeltaTangents: split(delta) }),
    }),
    selectRows: () => maps,
  };
  return {
    ...withoutParameters,
    name,
    forward: (inputs) => ({
      output: join(inputs),
      backward: (delta) => ({ slices: [], inputDeltas: split(delta), tangentMaps: () => maps }),
    }),
  };
}
