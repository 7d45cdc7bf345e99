import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformFloat32 } from 'pure-rand/distribution/uniformFloat32';
import { outputWidth, parameterLayout } from '../../../protocol/model.js';
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
  const uniform = (length: number, scale = 1) =>
    Float32Array.from({ length }, () => scale * (2 * uniformFloat32(random) - 1));
  const last = shape.units.length - 1;
  const network: Network = {
    input: { width: shape.width },
    layers: shape.units.map((units, index) => ({
      type: 'dense',
      units,
      useBias: shape.useBias,
      activation: index === last ? (shape.lastActivation ?? 'linear') : shape.activation,
    })),
    loss: shape.loss,
    l2: 0,
  };
  const outputs = outputWidth(network);
  const parameters = uniform(parameterLayout(network).count, size);
  const features = uniform(rows * shape.width);
  const labels =
    shape.loss === 'softmaxCrossEntropy'
      ? Int32Array.from(uniform(rows), (value) => Math.floor(((value + 1) / 2) * outputs))
      : shape.loss === 'sigmoidCrossEntropy'
        ? uniform(rows * outputs).map((value) => (value > 0 ? 1 : 0))
        : shape.loss === 'poisson'
          ? uniform(rows * outputs).map((value) => Math.floor(2 * (value + 1)))
          : uniform(rows * outputs);
  const labelWidth = labels.length / rows;
  const referenceRows = Array.from({ length: rows }, (_, row) => ({
    x: features.subarray(row * shape.width, (row + 1) * shape.width),
    y: labels.subarray(row * labelWidth, (row + 1) * labelWidth),
  }));
  return { network, parameters, batch: { rows, features, labels }, referenceRows, uniform };
}
