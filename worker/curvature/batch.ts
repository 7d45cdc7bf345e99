import { LabelOutOfRangeError, ShapeMismatchError } from '../../protocol/errors.js';
import { inputWidth, outputWidth } from '../../protocol/model.js';
import type { Network } from '../../protocol/model.js';
import type { Device } from '../engines/operations.js';

/** Rows of a dataset: features b × width; labels b class ids, or b × m reals. */
export interface Batch {
  rows: number;
  features: Float32Array;
  labels: Int32Array | Float32Array;
}

/** A batch on the device: features b × width, labels b × m (class ids one-hot for `softmaxCrossEntropy`). */
export interface DeviceBatch<T> {
  rows: number;
  features: T;
  labels: T;
}

/**
 * Throws `ShapeMismatchError` if features or labels are not those of `rows` rows of this network, and
 * `LabelOutOfRangeError` for a class id that has no output.
 */
export function uploadBatch<T>(device: Device<T>, network: Network, batch: Batch): DeviceBatch<T> {
  const { rows, features } = batch;
  const width = inputWidth(network);
  const outputs = outputWidth(network);
  if (features.length !== rows * width)
    throw new ShapeMismatchError(`${features.length} features are not ${rows} rows of ${width}`);
  const labels = network.loss === 'softmaxCrossEntropy' ? oneHot(batch, outputs) : asFloats(batch, outputs);
  return {
    rows,
    features: device.upload(features, [rows, width]),
    labels: device.upload(labels, [rows, outputs]),
  };
}

function oneHot({ rows, labels }: Batch, classes: number): Float32Array {
  if (labels.length !== rows)
    throw new ShapeMismatchError(`${labels.length} labels are not the class ids of ${rows} rows`);
  const values = new Float32Array(rows * classes);
  for (const [row, label] of labels.entries()) {
    if (!Number.isInteger(label) || label < 0 || label >= classes)
      throw new LabelOutOfRangeError(`row ${row} has label ${label}; class ids are 0 to ${classes - 1}`, {
        details: { row, label, classes },
      });
    values[row * classes + label] = 1;
  }
  return values;
}

function asFloats({ rows, labels }: Batch, outputs: number): Float32Array {
  if (labels.length !== rows * outputs)
    throw new ShapeMismatchError(`${labels.length} label values are not ${rows} rows of ${outputs}`);
  return labels instanceof Float32Array ? labels : Float32Array.from(labels);
}

/** The named rows of a batch, as a batch. */
export function rowsOf({ rows, features, labels }: Batch, indices: Int32Array): Batch {
  return {
    rows: indices.length,
    features: pick(features, new Float32Array((features.length / rows) * indices.length), indices),
    labels:
      labels instanceof Int32Array
        ? pick(labels, new Int32Array((labels.length / rows) * indices.length), indices)
        : pick(labels, new Float32Array((labels.length / rows) * indices.length), indices),
  };
}

function pick<A extends Float32Array | Int32Array>(from: A, to: A, indices: Int32Array): A {
  const width = to.length / indices.length;
  for (const [place, row] of indices.entries())
    to.set(from.subarray(row * width, (row + 1) * width), place * width);
  return to;
}
