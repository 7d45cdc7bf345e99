import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Labels } from '../../protocol/dataset.js';
import { shuffle } from '../../datasets/shuffle.js';
import { fromMemory } from '../../datasets/synthetic.js';

const real: Labels = { kind: 'real', width: 1 };

/** Row i has the features (i, −i) and the label i/2, so that a row torn apart shows. */
function numbered(rows: number, batchRows: number) {
  const features = Float32Array.from(
    { length: 2 * rows },
    (_, index) => (index % 2 ? -1 : 1) * Math.floor(index / 2),
  );
  return fromMemory(
    features,
    Float32Array.from({ length: rows }, (_, row) => row / 2),
    real,
    { batchRows },
  );
}

async function order(rows: number, { seed = 1, batchRows = 7, memory = 2 ** 20 } = {}): Promise<number[]> {
  const out: number[] = [];
  for await (const batch of shuffle(numbered(rows, batchRows), seed, memory)) {
    for (const [row, source] of batch.sourceRows.entries()) {
      const whole = [batch.features[2 * row], -batch.features[2 * row + 1]!, batch.labels[row]! * 2];
      if (whole.some((value) => value !== source)) throw new Error(`row ${source} holds ${whole.join()}`);
      out.push(source);
    }
  }
  return out;
}

/** Temporary folders of shuffles now in progress in any process. */
async function leftovers(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('ihvp-shuffle-'));
}

describe('shuffle', () => {
  it('shuffle: a permutation, of whole rows, in memory, in buckets and in buckets of buckets', async () => {
    // 20 bytes a row: 300 rows in 64 bytes of memory need several levels of buckets.
    for (const memory of [2 ** 20, 2000, 64]) {
      const shuffled = await order(300, { memory });
      expect(shuffled).not.toEqual([...shuffled].sort((a, b) => a - b));
      expect([...shuffled].sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, row) => row));
    }
  });

  it('shuffle: the order depends on the seed, not on the sizes of the batches', async () => {
    const expected = await order(200, { memory: 500 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 250 }), async (batchRows) => {
        expect(await order(200, { memory: 500, batchRows })).toEqual(expected);
      }),
      { numRuns: 10 },
    );
    expect(await order(200, { memory: 500, seed: 2 })).not.toEqual(expected);
  });

  it.each([
    ['in memory', 2 ** 20],
    ['in buckets', 50],
  ])('shuffle: all 24 orders of 4 rows are equally frequent, %s', async (_, memory) => {
    const runs = 2400;
    const counts = new Map<string, number>();
    for (let seed = 0; seed < runs; seed++) {
      const key = (await order(4, { seed, memory })).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const expected = runs / 24;
    expect(counts.size).toBe(24);
    const chiSquare = [...counts.values()].reduce(
      (sum, count) => sum + (count - expected) ** 2 / expected,
      0,
    );
    // 23 degrees of freedom: the 0.9999 quantile is 58.6 (scipy.stats.chi2.ppf(0.9999, 23)). Seeds are fixed.
    expect(chiSquare).toBeLessThan(58.6);
  });

  it('shuffle: temporary files have no name, whether it is finished or not', async () => {
    const before = await leftovers();
    for await (const batch of shuffle(numbered(300, 10), 1, 500)) {
      expect(batch.rows).toBeGreaterThan(0);
      expect(await leftovers()).toEqual(before);
      break;
    }
    expect(await leftovers()).toEqual(before);
  });
});
