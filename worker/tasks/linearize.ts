import { TreeSum } from '../../protocol/reduction.js';
import type { ThreadOperator } from '../thread-operator.js';
import type { LinearizeInput, Sums } from '../thread-messages.js';
import { nodeSums } from './node-sums.js';

/** Loss and gradient sums, (loss, ∇₁…∇_p) a node. */
export async function linearizeLeaves<T>(
  operator: ThreadOperator<T>,
  { point, leaves }: LinearizeInput,
): Promise<Sums> {
  const sum = new TreeSum(operator.leaves.length);
  operator.moveTo(point);
  const planned = operator.plan(leaves);
  for (const [place, index] of leaves.entries()) {
    const { loss, gradient } = await operator.lossAndGradient(planned[place]!);
    const values = new Float64Array(1 + gradient.length);
    values[0] = loss;
    values.set(gradient, 1);
    sum.add({ level: 0, index }, values);
  }
  return nodeSums(sum);
}
