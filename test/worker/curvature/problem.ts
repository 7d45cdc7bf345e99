import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformFloat32 } from 'pure-rand/distribution/uniformFloat32';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import { inputWidth, networkSchema, outputWidth, parameterLayout } from '../../../protocol/model.js';
import type { Activation, Loss, Network } from '../../../protocol/model.js';
import type { Batch } from '../../../worker/curvature/batch.js';
import type { ReferenceRow } from '../../support/reference.js';

export interface Shape {
  width: number;
  /** Units of each layer; all but the last have the activation, the last has `lastActivation` or none. */
  units: readonly number[];
  activation: Activation;
  lastActivation?: Activation;
  loss: Loss;
  useBias: boolean;
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
  return problemOf(network, rows, random, size);
}

/** A network given, with random parameters and rows; `features` in place of uniform ones. */
export function networkProblem(
  description: { input: { shape: readonly number[] }; layers: readonly unknown[]; loss: Loss },
  rows: number,
  seed: number,
  options: { size?: number; feature?: (uniform: number) => number } = {},
): Problem {
  const network = networkSchema.parse(description);
  return problemOf(network, rows, xoroshiro128plus(seed), options.size ?? 1, options.feature);
}

function problemOf(
  network: Network,
  rows: number,
  random: RandomGenerator,
  size: number,
  feature = (value: number) => value,
): Problem {
  const uniform = (length: number, scale = 1) =>
    Float32Array.from({ length }, () => scale * (2 * uniformFloat32(random) - 1));
  const outputs = outputWidth(network);
  const width = inputWidth(network);
  const parameters = uniform(parameterLayout(network).count, size);
  const features = uniform(rows * width).map(feature);
  const labels =
    network.loss === 'softmaxCrossEntropy'
      ? Int32Array.from(uniform(rows), (value) => Math.floor(((value + 1) / 2) * outputs))
      : network.loss === 'sigmoidCrossEntropy'
        ? uniform(rows * outputs).map((value) => (value > 0 ? 1 : 0))
        : uniform(rows * outputs);
  const labelWidth = labels.length / rows;
  const referenceRows = Array.from({ length: rows }, (_, row) => ({
    x: features.subarray(row * width, (row + 1) * width),
    y: labels.subarray(row * labelWidth, (row + 1) * labelWidth),
  }));
  return { network, parameters, batch: { rows, features, labels }, referenceRows, uniform };
}
