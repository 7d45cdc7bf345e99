import type { Labels } from '../protocol/dataset.js';
import { generator, normal, type RandomGenerator, uniform } from '../protocol/random.js';
import { type LabelArray, labelWidth, type RowBatch, type RowSource } from './rows.js';

/** Rows in memory, for tests and benches. */
export interface MemoryRows extends RowSource {
  /** rows × width. */
  features: Float32Array;
  values: LabelArray;
}

/** Rows in memory as a source that hands out `batchRows` at a time. */
export function fromMemory(
  features: Float32Array,
  values: LabelArray,
  labels: Labels,
  {
    batchRows = 1024,
    description = 'memory',
    weights,
  }: { batchRows?: number; description?: string; weights?: Float32Array } = {},
): MemoryRows {
  const perLabel = labelWidth(labels);
  const rows = values.length / perLabel;
  const width = features.length / rows;
  // eslint-disable-next-line @typescript-eslint/require-await -- a source is asynchronous, memory is not
  async function* batches(): AsyncGenerator<RowBatch> {
    for (let firstRow = 0; firstRow < rows; firstRow += batchRows) {
      const end = Math.min(rows, firstRow + batchRows);
      yield {
        features: features.slice(firstRow * width, end * width),
        labels: values.slice(firstRow * perLabel, end * perLabel),
        weights: weights?.slice(firstRow, end),
        rows: end - firstRow,
        firstRow,
      };
    }
  }
  const weighted = weights !== undefined;
  return { features, values, rows, width, labels, weighted, description, [Symbol.asyncIterator]: batches };
}

interface Size {
  rows: number;
  width: number;
  seed: number;
}

/**
 * Linear regression: y = x·w + noise·ε with x, ε ~ N(0, 1). Column j of x is multiplied by `condition`^(−j/(2(width−1))),
 * so that the expected second moment E[xxᵀ] is diagonal with that condition number. Returns w beside the rows.
 */
export function linearRegression(
  { rows, width, seed }: Size,
  { noise = 0.1, condition = 1 } = {},
): MemoryRows & { weights: Float64Array } {
  const random = generator(seed);
  const weights = Float64Array.from({ length: width }, () => normal(random));
  const features = gaussians(random, rows, width, condition);
  const values = Float32Array.from(
    { length: rows },
    (_, row) => dot(features, row, weights) + noise * normal(random),
  );
  const source = fromMemory(
    features,
    values,
    { kind: 'real', width: 1 },
    { description: 'linear regression' },
  );
  return { ...source, weights };
}

/**
 * Logistic regression: P(y = 1 | x) = σ(x·w + bias), x ~ N(0, 1) as in `linearRegression`. A negative `bias` makes
 * class 1 rare (−4: about one row in thirty at ‖w‖ = 1; w is scaled to norm 1).
 */
export function logisticRegression(
  { rows, width, seed }: Size,
  { bias = 0, condition = 1 } = {},
): MemoryRows & { weights: Float64Array } {
  const random = generator(seed);
  const raw = Float64Array.from({ length: width }, () => normal(random));
  const norm = Math.hypot(...raw);
  const weights = raw.map((weight) => weight / norm);
  const features = gaussians(random, rows, width, condition);
  const values = Int32Array.from({ length: rows }, (_, row) => {
    const probability = 1 / (1 + Math.exp(-(dot(features, row, weights) + bias)));
    return uniform(random) < probability ? 1 : 0;
  });
  return {
    ...fromMemory(features, values, { kind: 'class', classes: 2 }, { description: 'logistic regression' }),
    weights,
  };
}

/** Class c is N(μ_c, I) with μ_c ~ N(0, spread²·I); row i is of class i mod classes. Returns the means beside the rows. */
export function gaussianClusters(
  { rows, width, seed }: Size,
  { classes = 3, spread = 2 } = {},
): MemoryRows & { means: Float64Array[] } {
  const random = generator(seed);
  const means = Array.from({ length: classes }, () =>
    Float64Array.from({ length: width }, () => spread * normal(random)),
  );
  const values = Int32Array.from({ length: rows }, (_, row) => row % classes);
  const features = Float32Array.from(
    { length: rows * width },
    (_, index) => means[Math.floor(index / width) % classes]![index % width]! + normal(random),
  );
  return {
    ...fromMemory(features, values, { kind: 'class', classes }, { description: 'gaussian clusters' }),
    means,
  };
}

function gaussians(random: RandomGenerator, rows: number, width: number, condition: number): Float32Array {
  const scales = Float64Array.from(
    { length: width },
    (_, column) => condition ** (-column / (2 * Math.max(1, width - 1))),
  );
  return Float32Array.from({ length: rows * width }, (_, index) => scales[index % width]! * normal(random));
}

function dot(features: Float32Array, row: number, weights: Float64Array): number {
  return weights.reduce((sum, weight, column) => sum + weight * features[row * weights.length + column]!, 0);
}
