import { LabelOutOfRangeError, ShapeMismatchError } from '../../protocol/errors.js';
import { inputWidth, outputWidth } from '../../protocol/model.js';
import type { Loss, Network } from '../../protocol/model.js';
import type { Device } from '../engines/operations.js';

/** Rows of a dataset: features b × width; labels b class ids, or b × m reals; b weights ≥ 0, all 1 where absent. */
export interface Batch {
  rows: number;
  features: Float32Array;
  labels: Int32Array | Float32Array;
  weights?: Float32Array | undefined;
}

/** A batch on the device: features b × width, labels b × m (distributions for `softmaxCrossEntropy`), weights b × 1. */
export interface DeviceBatch<T> {
  rows: number;
  features: T;
  labels: T;
  weights: T | undefined;
}

/**
 * Throws `ShapeMismatchError` if features or labels are not those of `rows` rows of this network, and
 * `LabelOutOfRangeError` for a class id that has no output and for labels that the loss does not take.
 */
export function uploadBatch<T>(device: Device<T>, network: Network, batch: Batch): DeviceBatch<T> {
  const { rows, features, weights } = batch;
  const width = inputWidth(network);
  const outputs = outputWidth(network);
  if (features.length !== rows * width)
    throw new ShapeMismatchError(`${features.length} features are not ${rows} rows of ${width}`);
  if (weights !== undefined && weights.length !== rows)
    throw new ShapeMismatchError(`${weights.length} weights are not those of ${rows} rows`);
  return {
    rows,
    features: device.upload(features, [rows, width]),
    labels: device.upload(labelValues(network.loss, batch, outputs), [rows, outputs]),
    weights: weights && device.upload(weights, [rows, 1]),
  };
}

function labelValues(loss: Loss, batch: Batch, outputs: number): Float32Array {
  if (loss === 'softmaxCrossEntropy')
    return batch.labels instanceof Int32Array ? oneHot(batch, outputs) : distributions(batch, outputs);
  const [least, most] = ranges[loss] ?? [-Infinity, Infinity];
  const values = asFloats(batch, outputs);
  const index = values.findIndex((value) => value < least || value > most);
  if (index >= 0)
    throw outOfRange(Math.floor(index / outputs), values[index]!, `${loss} takes labels ${least} to ${most}`);
  return values;
}

/** The labels for which a loss is one. */
const ranges: Partial<Record<Loss, [least: number, most: number]>> = {
  sigmoidCrossEntropy: [0, 1],
  poisson: [0, Infinity],
};

/** What the sum of a row's label may be off 1, before it is mended. */
const sumTolerance = 1e-3;

/** Each row divided by its sum, so that what a file rounded off does not pass for a scale of the loss. */
function distributions(batch: Batch, classes: number): Float32Array {
  const labels = asFloats(batch, classes);
  const values = new Float32Array(labels.length);
  for (let row = 0; row < batch.rows; row++) {
    const label = labels.subarray(row * classes, (row + 1) * classes);
    const sum = label.reduce((total, value) => total + value, 0);
    if (!(Math.abs(sum - 1) <= sumTolerance) || label.some((value) => value < 0))
      throw outOfRange(
        row,
        `[${label.slice(0, 8).join(', ')}]`,
        'softmaxCrossEntropy takes class ids or probabilities that sum to 1',
      );
    values.set(
      label.map((value) => value / sum),
      row * classes,
    );
  }
  return values;
}

const outOfRange = (row: number, label: number | string, rule: string) =>
  new LabelOutOfRangeError(`row ${row} has label ${label}; ${rule}`, { details: { row, label } });

function oneHot({ rows, labels }: Batch, classes: number): Float32Array {
  if (labels.length !== rows)
    throw new ShapeMismatchError(`${labels.length} labels are not the class ids of ${rows} rows`);
  const values = new Float32Array(rows * classes);
  for (const [row, label] of labels.entries()) {
    if (!Number.isInteger(label) || label < 0 || label >= classes)
      throw outOfRange(row, label, `class ids are 0 to ${classes - 1}`);
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
export function rowsOf({ rows, features, labels, weights }: Batch, indices: Int32Array): Batch {
  return {
    rows: indices.length,
    features: pick(features, new Float32Array((features.length / rows) * indices.length), indices),
    labels:
      labels instanceof Int32Array
        ? pick(labels, new Int32Array((labels.length / rows) * indices.length), indices)
        : pick(labels, new Float32Array((labels.length / rows) * indices.length), indices),
    weights: weights && pick(weights, new Float32Array(indices.length), indices),
  };
}

function pick<A extends Float32Array | Int32Array>(from: A, to: A, indices: Int32Array): A {
  const width = to.length / indices.length;
  for (const [place, row] of indices.entries())
    to.set(from.subarray(row * width, (row + 1) * width), place * width);
  return to;
}
