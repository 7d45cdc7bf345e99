import type { Shard } from './dataset.js';
import { TooLargeError } from './errors.js';
import { limits } from './names.js';

/** Rows [from, to) of shard number `shard`. */
export interface Leaf {
  shard: number;
  from: number;
  to: number;
}

/** How many leaves `cutLeaves` would make. @throws TooLargeError where they are more than one operator may have */
export function countLeaves(shards: readonly Pick<Shard, 'rows'>[], leafRows: number): number {
  const count = shards.reduce((sum, { rows }) => sum + Math.ceil(rows / leafRows), 0);
  if (count > limits.leaves)
    throw new TooLargeError(`leaves of ${leafRows} rows are ${count} leaves, more than ${limits.leaves}`, {
      hint: 'ask for more rows a leaf (--leaf-rows)',
    });
  return count;
}

/**
 * The leaves of a dataset in canonical order: every shard cut into runs of `leafRows` consecutive rows, the last run of
 * a shard shorter. A pure function of the manifest and the request, so both sides agree without sending a list.
 * @throws TooLargeError
 */
export function cutLeaves(shards: readonly Pick<Shard, 'rows'>[], leafRows: number): Leaf[] {
  countLeaves(shards, leafRows);
  return shards.flatMap(({ rows }, shard) =>
    Array.from({ length: Math.ceil(rows / leafRows) }, (_, i) => ({
      shard,
      from: i * leafRows,
      to: Math.min(rows, (i + 1) * leafRows),
    })),
  );
}
