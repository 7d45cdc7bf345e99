import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { TooLargeError } from '../../protocol/errors.js';
import { countLeaves, cutLeaves } from '../../protocol/leaves.js';
import { limits } from '../../protocol/names.js';

describe('cutLeaves', () => {
  it('covers every row of every shard once, in order, in leaves of at most leafRows', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 350 }),
        (sizes, leafRows) => {
          const shards = sizes.map((rows) => ({ rows }));
          const leaves = cutLeaves(shards, leafRows);
          const rows = leaves.flatMap(({ shard, from, to }) =>
            Array.from({ length: to - from }, (_, i) => `${shard}:${from + i}`),
          );
          expect(rows).toEqual(
            sizes.flatMap((count, shard) => Array.from({ length: count }, (_, i) => `${shard}:${i}`)),
          );
          expect(Math.max(...leaves.map(({ from, to }) => to - from))).toBeLessThanOrEqual(leafRows);
          expect(countLeaves(shards, leafRows)).toBe(leaves.length);
        },
      ),
    );
  });

  it('throws TooLargeError, before it makes them, for more leaves than an operator may have', () => {
    const shards = [{ rows: 1e12 }];
    expect(() => cutLeaves(shards, 1)).toThrow(TooLargeError);
    expect(countLeaves(shards, 1e12 / limits.leaves)).toBe(limits.leaves);
  });
});
