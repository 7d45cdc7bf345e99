import { ShapeMismatchError } from '../../protocol/errors.js';
import type { Leaf } from '../../protocol/leaves.js';
import { drawMinibatch } from '../../protocol/minibatch.js';
import { TreeSum } from '../../protocol/reduction.js';
import { rowsOf } from '../curvature/batch.js';
import { finiteDifference } from '../curvature/finite-difference.js';
import { prepareTangent, product, selectRows } from '../curvature/linearization.js';
import type { Engine } from '../engines/engine.js';
import type { ThreadOperator } from '../thread-operator.js';
import type { MultiplyRowsInput, Sums } from '../thread-messages.js';
import { nodeSums } from './node-sums.js';

/** Sums over the rows of a minibatch that lie in these leaves, of their curvature times V, K × p a node. */
export async function multiplyRows<T>(
  engine: Engine<T>,
  operator: ThreadOperator<T>,
  input: MultiplyRowsInput,
): Promise<Sums> {
  const { point, vectors, count } = input;
  const bound = operator.moveTo(point);
  const { hvp, network } = operator.input;
  if (hvp.mode === 'finite-difference')
    return overMinibatch(operator.leaves, input, async (leaf, rows) => {
      const batch = rowsOf(await operator.batch(leaf), rows);
      return finiteDifference(engine, network, point.parameters, batch, vectors, count, hvp.step);
    });
  const tangent = prepareTangent(engine, bound, vectors, count);
  try {
    return await overMinibatch(operator.leaves, input, (leaf, rows) =>
      operator.withLinearization(leaf, async (linearization) => {
        const selected = selectRows(engine, linearization, rows);
        try {
          return await product(engine, selected, tangent);
        } finally {
          engine.dispose(selected.held);
        }
      }),
    );
  } finally {
    engine.dispose(tangent.held);
  }
}

/**
 * The canonical tree over the leaves that the minibatch has rows in, numbered in their order: `work` is called for those
 * of them that were asked for.
 */
export async function overMinibatch(
  all: readonly Leaf[],
  { leaves, rows, seeds, touched }: MultiplyRowsInput,
  work: (leaf: Leaf, rows: Int32Array) => Promise<Float32Array>,
): Promise<Sums> {
  const drawn = drawMinibatch(all, rows, seeds);
  if (drawn.size !== touched)
    throw new ShapeMismatchError(`the minibatch has rows in ${drawn.size} leaves, not in ${touched}`);
  const places = new Map([...drawn.keys()].map((leaf, place) => [leaf, place]));
  const sum = new TreeSum(touched);
  for (const leaf of leaves) {
    const index = places.get(leaf);
    if (index === undefined) throw new ShapeMismatchError(`the minibatch has no rows in leaf ${leaf}`);
    sum.add({ level: 0, index }, await work(all[leaf]!, drawn.get(leaf)!));
  }
  return nodeSums(sum);
}
