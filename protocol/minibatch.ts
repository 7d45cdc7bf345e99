import { uniformInt } from 'pure-rand/distribution/uniformInt';
import type { Leaf } from './leaves.js';
import { generator } from './random.js';

/**
 * How minibatches are drawn. `epoch`: a pass visits every row once, shard by shard, in a fresh order. `replacement`: the
 * same visits, each row of a minibatch drawn anew from the shard. `global`: each minibatch is drawn from all rows of
 * the dataset.
 */
export const samplings = ['epoch', 'replacement', 'global'] as const;
export type Sampling = (typeof samplings)[number];

/**
 * `size` different rows of the dataset, all choices equally likely, drawn from the stream (seeds): for each leaf that has
 * some, their numbers within the leaf, ascending; in order of leaves. Coordinator and workers draw alike, so that no
 * row numbers travel. (Floyd's algorithm: Bentley & Floyd 1987.)
 */
export function drawMinibatch(
  leaves: readonly Leaf[],
  size: number,
  [seed, ...streams]: readonly number[],
): Map<number, Int32Array> {
  const rows = leaves.reduce((sum, { from, to }) => sum + to - from, 0);
  const random = generator(seed!, ...streams);
  const chosen = new Set<number>();
  for (let last = rows - Math.min(size, rows); last < rows; last++) {
    const row = uniformInt(random, 0, last);
    chosen.add(chosen.has(row) ? last : row);
  }
  const ascending = Float64Array.from(chosen).sort();
  const drawn = new Map<number, Int32Array>();
  let next = 0;
  let before = 0;
  for (const [index, { from, to }] of leaves.entries()) {
    const first = next;
    while (next < ascending.length && ascending[next]! < before + to - from) next++;
    if (next > first)
      drawn.set(
        index,
        Int32Array.from(ascending.subarray(first, next), (row) => row - before),
      );
    before += to - from;
  }
  return drawn;
}
