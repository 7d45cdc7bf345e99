import { describe, expect, it } from '@jest/globals';
import { cutLeaves } from '../../protocol/leaves.js';
import { drawMinibatch } from '../../protocol/minibatch.js';
import { cutMinibatches } from '../../worker/tasks/chain.js';

const leaves = cutLeaves([{ rows: 10 }, { rows: 11 }], 4);

describe('drawMinibatch', () => {
  it('drawMinibatch: different rows, ascending, within their leaves', () => {
    for (let seed = 0; seed < 50; seed++) {
      const drawn = drawMinibatch(leaves, 7, [seed, 1]);
      expect([...drawn.keys()]).toEqual([...drawn.keys()].sort((a, b) => a - b));
      let rows = 0;
      for (const [index, own] of drawn) {
        expect([...own]).toEqual([...new Set(own)].sort((a, b) => a - b));
        expect(own.every((row) => row >= 0 && row < leaves[index]!.to - leaves[index]!.from)).toBe(true);
        rows += own.length;
      }
      expect(rows).toBe(7);
    }
    const all = [...drawMinibatch(leaves, 100, [0]).values()].reduce((sum, rows) => sum + rows.length, 0);
    expect(all).toBe(21);
  });

  it('drawMinibatch: every row and every pair is as likely as any other', () => {
    const draws = 6000;
    const [counts, pairs] = [new Array<number>(21).fill(0), new Map<string, number>()];
    const before = leaves.map((_, i) => leaves.slice(0, i).reduce((sum, { from, to }) => sum + to - from, 0));
    for (let seed = 0; seed < draws; seed++) {
      const rows = [...drawMinibatch(leaves, 3, [seed])].flatMap(([leaf, own]) =>
        Array.from(own, (row) => before[leaf]! + row),
      );
      for (const row of rows) counts[row]!++;
      for (const [a, b] of [
        [0, 1],
        [0, 2],
        [1, 2],
      ] as const)
        pairs.set(`${rows[a]}-${rows[b]}`, (pairs.get(`${rows[a]}-${rows[b]}`) ?? 0) + 1);
    }
    const chi2 = (observed: number[], expected: number) =>
      observed.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // Degrees of freedom 20 and 209: mean ± five deviations √(2·f).
    expect(chi2(counts, (draws * 3) / 21)).toBeLessThan(20 + 5 * Math.sqrt(40));
    expect(pairs.size).toBe(210);
    expect(chi2([...pairs.values()], (draws * 3) / 210)).toBeLessThan(209 + 5 * Math.sqrt(418));
  });
});

describe('cutMinibatches', () => {
  const cut = (sampling: 'epoch' | 'replacement', first = 0, end = 5) =>
    cutMinibatches(23, { batchSize: 5, sampling, first, end, seeds: [4, 2] });
  const rows = (minibatches: ReturnType<typeof cut>) => minibatches.flatMap(({ indices }) => [...indices]);

  it('cutMinibatches: an epoch has every row once, the last minibatch weighs what it has', () => {
    expect(rows(cut('epoch')).sort((a, b) => a - b)).toEqual(Array.from({ length: 23 }, (_, i) => i));
    expect(cut('epoch').map(({ weight }) => weight)).toEqual([1, 1, 1, 1, 0.6]);
  });

  it('cutMinibatches: with replacement rows come again, others not at all', () => {
    const drawn = rows(cut('replacement'));
    expect(drawn).toHaveLength(23);
    expect(drawn.every((row) => row >= 0 && row < 23)).toBe(true);
    // 23·(1 − 1/e) = 14.5 different ones are to be expected.
    expect(new Set(drawn).size).toBeGreaterThan(9);
    expect(new Set(drawn).size).toBeLessThan(20);
  });

  it.each(['epoch', 'replacement'] as const)(
    'cutMinibatches: parts of a shard (%s) are those of the whole',
    (sampling) => {
      expect([...cut(sampling, 0, 2), ...cut(sampling, 2, 5)]).toEqual(cut(sampling));
    },
  );
});
