import { TreeSum } from '../../protocol/reduction.js';
import { finiteDifference } from '../curvature/finite-difference.js';
import { prepareSlabs, productOfSlabs } from '../curvature/slabs.js';
import type { Engine } from '../engines/engine.js';
import type { ThreadOperator } from '../thread-operator.js';
import type { MultiplyInput, Sums } from '../thread-messages.js';
import { nodeSums } from './node-sums.js';

/** Sums over the leaves' rows of their curvature times V, K × p a node; without l2 and without the division by n. */
export async function multiplyLeaves<T>(
  engine: Engine<T>,
  operator: ThreadOperator<T>,
  { point, leaves, vectors, count }: MultiplyInput,
): Promise<Sums> {
  const bound = operator.moveTo(point);
  const sum = new TreeSum(operator.leaves.length);
  const { hvp, network } = operator.input;
  const planned = operator.plan(leaves);
  if (hvp.mode === 'finite-difference') {
    for (const [place, index] of leaves.entries()) {
      const batch = await operator.batch(planned[place]!);
      const values = await finiteDifference(
        engine,
        network,
        point.parameters,
        batch,
        vectors,
        count,
        hvp.step,
      );
      sum.add({ level: 0, index }, values);
    }
    return nodeSums(sum);
  }
  const scratch = new Float32Array(vectors.length);
  const slabs = prepareSlabs(engine, bound, vectors, count, operator.columnsFor(operator.input.leafRows));
  try {
    for (const [place, index] of leaves.entries()) {
      const values = await operator.withLinearization(planned[place]!, (linearization) =>
        productOfSlabs(engine, linearization, slabs, scratch),
      );
      sum.add({ level: 0, index }, values);
    }
  } finally {
    engine.dispose(slabs.flatMap(({ held }) => held));
  }
  return nodeSums(sum);
}
