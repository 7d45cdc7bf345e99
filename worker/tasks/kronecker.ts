import { kroneckerBlocks } from '../../protocol/kronecker.js';
import { generator } from '../../protocol/random.js';
import { TreeSum } from '../../protocol/reduction.js';
import { kroneckerSums } from '../curvature/kronecker.js';
import type { Engine } from '../engines/engine.js';
import type { KroneckerInput, Sums } from '../thread-messages.js';
import type { ThreadOperator } from '../thread-operator.js';
import { nodeSums } from './node-sums.js';

/** Sums of the Kronecker factors of every block, a node after the other. Leaf i draws from the stream (seed, i). */
export async function kroneckerLeaves<T>(
  engine: Engine<T>,
  operator: ThreadOperator<T>,
  { point, leaves, seed }: KroneckerInput,
): Promise<Sums> {
  const bound = operator.moveTo(point);
  const blocks = kroneckerBlocks(operator.input.network);
  const sum = new TreeSum(operator.leaves.length);
  const planned = operator.plan(leaves);
  for (const [place, index] of leaves.entries()) {
    const batch = await operator.batch(planned[place]!);
    const random = generator(seed, index);
    sum.add({ level: 0, index }, await kroneckerSums(engine, bound, batch, blocks, random, engine.workBytes));
  }
  return nodeSums(sum);
}
