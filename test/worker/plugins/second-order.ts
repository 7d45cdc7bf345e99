import type * as tf from '@tensorflow/tfjs';
import { expect } from '@jest/globals';
import { pluginLayout } from '../../../protocol/plugin-model.js';
import type { Batch } from '../../../worker/curvature/batch.js';
import { openEagerEngine } from '../../../worker/engines/select.js';
import {
  bindObjective,
  evaluate,
  linearize,
  product,
  rowDerivatives,
} from '../../../worker/plugins/linearization.js';
import type { Loss } from '../../../worker/plugins/objective.js';
import { generator } from '../../../protocol/random.js';

export interface Case {
  parameters: Record<string, number[]>;
  loss: Loss;
  /** The same loss of one row in float64: `theta` is cut as in the layout. */
  reference: (theta: Record<string, number[]>, x: number[], y: number[]) => number;
  theta?: number[];
  rows?: number;
  width: number;
  /** Class ids, or none. */
  classes?: number;
  /** Values of features and parameters lie between these. */
  range?: [number, number];
}

/** Kernels that the losses of all cases asked for. */
export const kernelsSeen = new Set<string>();

function uniform(count: number, seed: number, [low, high]: [number, number]): number[] {
  const random = generator(seed);
  return Array.from({ length: count }, () =>
    Math.fround(low + (high - low) * ((random.next() >>> 8) / 2 ** 24)),
  );
}

/** Remembers the kernels that the loss itself asks for. */
const watched =
  (loss: Loss): Loss =>
  (operations, ...inputs) => {
    const engine = operations.engine();
    const hooked = engine.runKernel.bind(engine);
    const spy = (kernel: string, given: tf.NamedTensorMap, attrs?: tf.NamedAttrMap) => {
      kernelsSeen.add(kernel);
      return hooked(kernel, given, attrs);
    };
    Object.assign(engine, { runKernel: spy });
    return loss(operations, ...inputs);
  };

/**
 * Loss, gradient, products and row derivatives against differences of the reference in float64:
 * (f(θ+he+rv) − f(θ+he−rv) − f(θ−he+rv) + f(θ−he−rv)) / 4hr is right to about 1e-7 of the third and fourth
 * derivatives. float32 arithmetic at these sizes loses up to some 1e-6 of the largest terms: `tolerance`, relative in
 * norm, covers both. Nothing may stay on the device.
 */
export async function expectSecondOrder(engineName: string, given: Case, tolerance = 2e-5): Promise<void> {
  const { engine } = await openEagerEngine(engineName);
  const before = engine.memory();
  const { rows = 3, width, classes, range = [-1.2, 1.2] } = given;
  const layout = pluginLayout({
    name: 'case',
    parameters: Object.entries(given.parameters).map(([name, shape]) => ({ name, shape })),
  });
  const theta = given.theta ?? uniform(layout.count, 1, range);
  const features = uniform(rows * width, 2, range);
  const labels = uniform(rows, 3, [0, classes ?? 1]).map(Math.floor);
  const batch: Batch = { rows, features: Float32Array.from(features), labels: Int32Array.from(labels) };
  const cut = (values: number[]) =>
    Object.fromEntries(
      layout.slices.map(({ name, offset, size }) => [name, values.slice(offset, offset + size)]),
    );
  const rowLoss = (values: number[], row: number) =>
    given.reference(cut(values), features.slice(row * width, (row + 1) * width), [labels[row]!]);
  const total = (values: number[]) => labels.reduce((sum, _, row) => sum + rowLoss(values, row), 0);

  const objective = { parameters: given.parameters, loss: watched(given.loss) };
  const bound = bindObjective(engine, objective, layout, [width], Float32Array.from(theta));
  const { loss, gradient } = await evaluate(engine, bound, batch);
  expect(Math.abs(loss - total(theta))).toBeLessThan(tolerance * Math.max(1, Math.abs(total(theta))));
  const h = 1e-4;
  const moved = (values: number[], i: number, step: number) =>
    values.map((value, j) => (j === i ? value + step : value));
  const differences = theta.map((_, i) => (total(moved(theta, i, h)) - total(moved(theta, i, -h))) / (2 * h));
  expectClose(gradient, differences, tolerance);

  const vectors = uniform(2 * layout.count, 4, [-1, 1]);
  const linearization = linearize(engine, bound, batch);
  const products = await product(engine, linearization, Float32Array.from(vectors), 2);
  const derivatives = await rowDerivatives(engine, linearization, Float32Array.from(vectors), 2);
  for (const k of [0, 1]) {
    const v = vectors.slice(k * layout.count, (k + 1) * layout.count);
    const along = (values: number[], r: number) => values.map((value, i) => value + r * v[i]!);
    const slope = (values: number[]) => (total(along(values, h)) - total(along(values, -h))) / (2 * h);
    const wanted = theta.map((_, i) => (slope(moved(theta, i, h)) - slope(moved(theta, i, -h))) / (2 * h));
    expectClose(products.subarray(k * layout.count, (k + 1) * layout.count), wanted, tolerance);
    const rowSlopes = labels.map(
      (_, row) => (rowLoss(along(theta, h), row) - rowLoss(along(theta, -h), row)) / (2 * h),
    );
    expectClose(derivatives.subarray(k * rows, (k + 1) * rows), rowSlopes, tolerance);
  }
  linearization.tape.dispose();
  engine.dispose(bound.held);
  expect(engine.memory()).toEqual(before);
}

function expectClose(actual: Float32Array, wanted: number[], tolerance: number) {
  const size = Math.hypot(...wanted);
  const off = Math.hypot(...wanted.map((value, i) => value - actual[i]!));
  expect(off).toBeLessThanOrEqual(tolerance * Math.max(size, 1e-2));
}
