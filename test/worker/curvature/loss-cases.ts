import { losses } from '../../../protocol/model.js';
import type { Curvature } from '../../../protocol/requests.js';
import { NetworkCheck } from './network-check.js';
import { randomProblem } from './problem.js';

/** As for the products of every layer: float32 through a few matrix products, measured at most 1e-6. */
export const lossTolerance = 3e-6;

/** What a row is measured with: every loss, and class distributions beside class ids. */
export const lossKinds = [
  ...losses.map((loss) => ({ title: loss, loss, distributions: false })),
  {
    title: 'softmaxCrossEntropy with distributions',
    loss: 'softmaxCrossEntropy',
    distributions: true,
  },
] as const;

/** Behind a tanh layer: products and gradients of seven rows, and of a selection of them. */
export function lossCheck(
  { loss, distributions }: (typeof lossKinds)[number],
  curvature: Curvature,
  weighted: boolean,
): NetworkCheck {
  const shape = { width: 3, units: [4, 3], activation: 'tanh', useBias: true } as const;
  const problem = randomProblem({ ...shape, loss, distributions, weighted }, 7, 21);
  return new NetworkCheck(problem, { curvature, count: 3, selections: [[5, 0, 2, 2]] });
}
