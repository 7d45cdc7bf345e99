import { totalWeight } from '../../protocol/dataset.js';
import { cutLeaves } from '../../protocol/leaves.js';
import { drawMinibatch } from '../../protocol/minibatch.js';
import type { Minibatch } from '../distributed-operator.js';
import type { Operator } from '../solvers/types.js';
import type { Context } from './context.js';

/** Draws minibatches from all rows of the dataset. */
export function minibatchesOf({ prepared: { manifest, leafRows } }: Context) {
  const leaves = cutLeaves(manifest.shards, leafRows);
  const rowWeight = totalWeight(manifest) / manifest.rows;
  return (rows: number, seeds: number[]): Minibatch => ({
    rows,
    seeds,
    leaves: [...drawMinibatch(leaves, rows, seeds).keys()],
    weight: rows * rowWeight,
  });
}

/** The mean Hessian of one minibatch, l2 included. */
export function minibatchOperator({ operator, prepared }: Context, minibatch: Minibatch): Operator {
  const part = minibatch.rows / prepared.manifest.rows;
  return {
    size: operator.size,
    multiply: (block, count) => operator.multiplyRows(block, count, minibatch, count * part),
  };
}
