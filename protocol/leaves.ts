import type { Shard } from './dataset.js';

/** Rows [from, to) of shard number `shard`. */
export interface Leaf {
  shard: number;
  from: number;
  to: number;
}

/**
 * The leaves of a dataset in canonical order: every shard cut into runs of `leafRows` consecutive rows, the last run of
 * a shard shorter. A pure function of the manifest and the request, so both sides agree without sending a list.
 */
export function cutLeaves(shards: readonly Pick<Shard, 'rows'>[], leafRows: number): Leaf[] {
  return shards.flatMap(({ rows }, shard) =>
    Array.from({ length: Math.ceil(rows / leafRows) }, (_, i) => ({
      shard,
      from: i * leafRows,
      to: Math.min(rows, (i + 1) * leafRows),
    })),
  );
}
