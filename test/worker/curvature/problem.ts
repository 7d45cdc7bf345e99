import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformFloat32 } from 'pure-rand/distribution/uniformFloat32';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import { inputWidth, networkSchema, outputWidth, parameterLayout } from '../../../protocol/model.js';
import type { Activation, Loss, Network } from '../../../protocol/model.js';
import type { Batch } from '../../../worker/curvature/batch.js';
import { referenceOutputs, type ReferenceRow } from '../../support/reference.js';

export interface Shape {
  width: number;
  /** Units of each layer; all but the last have the activation, the last has `lastActivation` or none. */
  units: readonly number[];
  activation: Activation;
  lastActivation?: Activation;
  loss: Loss;
  useBias: boolean;
  /** Rows have weights between 0 and 2, the first one 0. */
  weighted?: boolean;
  /** Labels of softmaxCrossEntropy are distributions. */
  distributions?: boolean;
}

export interface Problem {
  network: Network;
  parameters: Float32Array;
  batch: Batch;
  referenceRows: ReferenceRow[];
  /** Uniform numbers in (−size, size). */
  uniform: (length: number, size?: number) => Float32Array;
}

/** A network with random parameters and rows, each value exactly a float32 so that the reference sees the same. */
export function randomProblem(shape: Shape, rows: number, seed: number, size = 1): Problem {
  const random = xoroshiro128plus(seed);
  const last = shape.units.length - 1;
  const network: Network = {
    input: { shape: [shape.width] },
    layers: shape.units.map((units, index) => ({
      type: 'dense',
      units,
      useBias: shape.useBias,
      activation: index === last ? (shape.lastActivation ?? 'linear') : shape.activation,
    })),
    loss: shape.loss,
    l2: 0,
  };
  return problemOf(network, rows, random, { ...shape, size });
}

/** A network given, with random parameters and rows; `features` in place of uniform ones. */
export function networkProblem(
  description: { input: { shape: readonly number[] }; layers: readonly unknown[]; loss: Loss },
  rows: number,
  seed: number,
  options: { size?: number; feature?: (uniform: number) => number } = {},
): Problem {
  const network = networkSchema.parse(description);
  return problemOf(network, rows, xoroshiro128plus(seed), options);
}

function problemOf(
  network: Network,
  rows: number,
  random: RandomGenerator,
  {
    size = 1,
    feature = (value: number) => value,
    weighted = false,
    distributions = false,
  }: {
    size?: number;
    feature?: (uniform: number) => number;
    weighted?: boolean;
    distributions?: boolean;
  },
): Problem {
  const uniform = (length: number, scale = 1) =>
    Float32Array.from({ length }, () => scale * (2 * uniformFloat32(random) - 1));
  const outputs = outputWidth(network);
  const width = inputWidth(network);
  const parameters = uniform(parameterLayout(network).count, size);
  const features = uniform(rows * width).map(feature);
  const labels =
    network.loss === 'softmaxCrossEntropy' && distributions
      ? randomDistributions(uniform(rows * outputs), outputs)
      : network.loss === 'softmaxCrossEntropy'
        ? Int32Array.from(uniform(rows), (value) => Math.floor(((value + 1) / 2) * outputs))
        : network.loss === 'sigmoidCrossEntropy'
          ? uniform(rows * outputs).map((value) => (value > 0 ? 1 : 0))
          : network.loss === 'poisson'
            ? uniform(rows * outputs).map((value) => Math.floor(2 * (value + 1)))
            : uniform(rows * outputs);
  const labelWidth = labels.length / rows;
  const weights = weighted ? uniform(rows).map((value, row) => (row === 0 ? 0 : value + 1)) : undefined;
  const referenceRows = Array.from({ length: rows }, (_, row) => ({
    x: features.subarray(row * width, (row + 1) * width),
    y: labels.subarray(row * labelWidth, (row + 1) * labelWidth),
    ...(weights && { weight: weights[row]! }),
  }));
  if (network.loss === 'huber')
    network.huberDelta = amongResiduals(
      referenceRows.flatMap(({ x, y }) =>
        referenceOutputs(network, parameters, x).map((output, j) => Math.abs(output - y[j]!)),
      ),
    );
  return { network, parameters, batch: { rows, features, labels, weights }, referenceRows, uniform };
}

/** A δ, exactly a float32, between two of the middle residuals, as far from both as can be: differences would see the kink. */
function amongResiduals(sizes: number[]): number {
  const sorted = sizes.sort((a, b) => a - b);
  const middle = sorted.slice(Math.floor(sorted.length / 4), Math.ceil((3 * sorted.length) / 4) + 1);
  const gaps = middle
    .slice(1)
    .map((size, i) => ({ width: size - middle[i]!, centre: (size + middle[i]!) / 2 }));
  return Math.fround(gaps.reduce((a, b) => (b.width > a.width ? b : a), { width: 0, centre: 1 }).centre);
}

/** Multiples of 1/256 that sum to 1, exactly in float32; the last of a row takes the rest. */
function randomDistributions(values: Float32Array, outputs: number): Float32Array {
  const shares = values.map((value) => Math.floor(((value + 1) / 2) * (256 / outputs)) / 256);
  for (let last = outputs - 1; last < shares.length; last += outputs)
    shares[last] = 1 - shares.subarray(last - outputs + 1, last).reduce((sum, share) => sum + share, 0);
  return shares;
}
