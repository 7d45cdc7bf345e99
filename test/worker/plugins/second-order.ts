import type * as tf from '@tensorflow/tfjs';
import type { ParameterLayout } from '../../../protocol/model.js';
import { pluginLayout } from '../../../protocol/plugin-model.js';
import { generator } from '../../../protocol/random.js';
import type { Batch } from '../../../worker/curvature/batch.js';
import { split } from '../../../worker/curvature/vectors.js';
import type { Engine } from '../../../worker/engines/engine.js';
import {
  bindObjective,
  evaluate,
  linearize,
  product,
  rowDerivatives,
} from '../../../worker/plugins/linearization.js';
import type { Loss } from '../../../worker/plugins/objective.js';
import { LargestErrors } from '../../support/largest-errors.js';

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

function uniform(count: number, seed: number, [low, high]: [number, number]): number[] {
  const random = generator(seed);
  return Array.from({ length: count }, () =>
    Math.fround(low + (high - low) * ((random.next() >>> 8) / 2 ** 24)),
  );
}

/** float32 arithmetic at these sizes loses up to some 1e-6 of the largest terms. */
export const kernelTolerance = 5e-6;

/** θ, rows and directions of a case with its float64 answers, which all engines share. */
interface Answers {
  layout: ParameterLayout;
  theta: number[];
  batch: Batch;
  /** K × p */
  vectors: number[];
  loss: number;
  gradient: number[];
  /** For each direction: p values, and one a row. */
  products: number[][];
  rowDerivatives: number[][];
}
const answers = new WeakMap<Case, Answers>();
const count = 2;

/**
 * Loss, gradient, products and row derivatives by differences of the reference:
 * (f(θ+he+rv) − f(θ+he−rv) − f(θ−he+rv) + f(θ−he−rv)) / 4hr is right to about 1e-7 of the third and fourth derivatives.
 */
function answersOf(given: Case): Answers {
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

  const h = 1e-4;
  const moved = (values: number[], i: number, step: number) =>
    values.map((value, j) => (j === i ? value + step : value));
  const slopes = (f: (values: number[]) => number) =>
    theta.map((_, i) => (f(moved(theta, i, h)) - f(moved(theta, i, -h))) / (2 * h));
  const vectors = uniform(count * layout.count, 4, [-1, 1]);
  const directions = [0, 1].map((k) => vectors.slice(k * layout.count, (k + 1) * layout.count));
  const alongs = directions.map((v) => (f: (values: number[]) => number, values: number[]) => {
    const at = (r: number) => f(values.map((value, i) => value + r * v[i]!));
    return (at(h) - at(-h)) / (2 * h);
  });
  return {
    layout,
    theta,
    batch,
    vectors,
    loss: total(theta),
    gradient: slopes(total),
    products: alongs.map((along) => slopes((values) => along(total, values))),
    rowDerivatives: alongs.map((along) =>
      labels.map((_, row) => along((values) => rowLoss(values, row), theta)),
    ),
  };
}

/** Relative errors of an engine, in norm, and the kernels that the loss asked for. */
export async function secondOrderErrors(engine: Engine<tf.Tensor>, given: Case) {
  const wanted = answers.get(given) ?? answersOf(given);
  answers.set(given, wanted);
  const { layout, batch, theta, vectors } = wanted;
  const kernels = new Set<string>();
  const objective = { parameters: given.parameters, loss: watched(given.loss, kernels) };
  const errors = new LargestErrors<'loss' | 'gradient' | 'product' | 'row derivatives'>();

  const bound = bindObjective(engine, objective, layout, [given.width], Float32Array.from(theta));
  const { loss, gradient } = await evaluate(engine, bound, batch);
  errors.note('loss', Math.abs(loss - wanted.loss) / Math.max(1, Math.abs(wanted.loss)));
  errors.note('gradient', distance(gradient, wanted.gradient));
  const linearization = linearize(engine, bound, batch);
  const products = await product(engine, linearization, Float32Array.from(vectors), count);
  for (const [k, found] of split(products, count).entries())
    errors.note('product', distance(found, wanted.products[k]!));
  const derivatives = await rowDerivatives(engine, linearization, Float32Array.from(vectors), count);
  for (const [k, found] of split(derivatives, count).entries())
    errors.note('row derivatives', distance(found, wanted.rowDerivatives[k]!));
  linearization.tape.dispose();
  engine.dispose(bound.held);
  return { errors: errors.of, kernels };
}

/** The loss, which now tells what kernels it asks for. */
const watched =
  (loss: Loss, kernels: Set<string>): Loss =>
  (operations, ...inputs) => {
    const engine = operations.engine();
    const hooked = engine.runKernel.bind(engine);
    const spy = (kernel: string, given: tf.NamedTensorMap, attrs?: tf.NamedAttrMap) => {
      kernels.add(kernel);
      return hooked(kernel, given, attrs);
    };
    Object.assign(engine, { runKernel: spy });
    return loss(operations, ...inputs);
  };

/** ‖found − wanted‖ ÷ ‖wanted‖, of which no less than 0.01 counts. */
const distance = (found: Float32Array, wanted: number[]) =>
  Math.hypot(...wanted.map((value, i) => value - found[i]!)) / Math.max(Math.hypot(...wanted), 1e-2);
