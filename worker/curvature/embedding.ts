import type { Operations } from '../engines/operations.js';
import { exchange, matrixShape } from './layer.js';
import type { Layer, TangentMaps } from './layer.js';

/** Ids, b × positions, to rows of the table E: h = E[ids], ∂E = Σ δ where each id is; linear in E, so Rh = V[ids]. */
export function embeddingLayer<T>(ops: Operations<T>, name: string, positions: number, table: T): Layer<T> {
  const [vocabulary, units] = matrixShape(ops, table);
  /** b × (K·positions·units) to vocabulary × (K·units). */
  const gradient = (ids: T, delta: T) => {
    const [rows, width] = matrixShape(ops, delta);
    const count = width / (positions * units);
    const values = ops.reshape(exchange(ops, delta, count, positions), [rows * positions, count * units]);
    return ops.scatterRows(values, ids, vocabulary);
  };
  const lookup = (tables: T, ids: T) =>
    ops.reshape(ops.lookupRows(tables, ids), [
      matrixShape(ops, ids)[0],
      positions * matrixShape(ops, tables)[1],
    ]);
  const tangentMaps = (ids: T): TangentMaps<T> => ({
    held: [ids],
    pieces: [],
    forward: (directions) => ({
      outputTangent: directions!.forward(ids),
      backward: (delta) => ({ slices: [gradient(ids, delta)], inputDeltaTangents: [undefined] }),
    }),
    selectRows: (rows) => tangentMaps(ops.gatherRows(ids, rows)),
  });
  return {
    name,
    sliceCount: 1,
    held: [table],
    forward: ([ids]) => ({
      output: lookup(table, ids!),
      backward: (delta) => ({
        slices: [gradient(ids!, delta)],
        inputDeltas: [undefined],
        tangentMaps: () => tangentMaps(ids!),
      }),
    }),
    direct: ([tables]) => ({
      held: [],
      forward: (ids) => exchange(ops, lookup(tables!, ids), positions, matrixShape(ops, tables!)[1] / units),
      backward: (delta) => delta,
    }),
  };
}
