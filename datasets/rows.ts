import type { Labels } from '../protocol/dataset.js';

/** Class ids are int32, real labels float32. */
export type LabelArray = Int32Array | Float32Array;

/** Some consecutive rows of a source. */
export interface RowBatch {
  /** rows × width, row by row. */
  features: Float32Array;
  /** rows class ids, or rows × label width real numbers. */
  labels: LabelArray;
  /** One a row, where the source has them. */
  weights?: Float32Array | undefined;
  rows: number;
  /** Source row (from 0) of the first row; the others follow it. */
  firstRow: number;
}

/** Anything that can be imported. May be iterated more than once; memory holds one batch at a time. */
export interface RowSource extends AsyncIterable<RowBatch> {
  /** Exact: the iteration yields this many rows or throws. */
  rows: number;
  /** Features of a row. */
  width: number;
  labels: Labels;
  /** Whether every batch has weights. */
  weighted?: boolean;
  /** What was read, for people: `mnist train`, `data.csv, label column "y" (class, 3 classes)`. */
  description: string;
}

/** Values of one label: 1 for a class id. */
export function labelWidth(labels: Labels): number {
  return labels.kind === 'class' ? 1 : labels.width;
}

/** An array for `rows` labels, in the type that this kind of label is stored in. */
export function labelArray(labels: Labels, rows: number): LabelArray {
  return labels.kind === 'class' ? new Int32Array(rows) : new Float32Array(rows * labels.width);
}

/** About 1 MiB of features, at least one row. */
export function rowsPerBatch(width: number): number {
  return Math.max(1, Math.floor(2 ** 18 / width));
}

/** Index of the first NaN or ±Inf, −1 if there is none. */
export function firstNotFinite(values: Float32Array | Float64Array): number {
  // x − x is 0 for every finite x and NaN for the rest.
  for (let index = 0; index < values.length; index++) if (values[index]! - values[index]! !== 0) return index;
  return -1;
}
