import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { BadRequestError } from '../../protocol/errors.js';
import { generator, normal, permutation, uniform } from '../../protocol/random.js';

interface Golden {
  ids: number[];
  words: number[];
  uniforms: number[];
  permutation: number[];
}
// Written by test/fixtures/random_streams.py, a second implementation in Python integers.
const golden = JSON.parse(readFileSync('test/fixtures/random_streams.json', 'utf8')) as Golden[];
const stream = (ids: number[]) => generator(ids[0]!, ...ids.slice(1));
const draw = (count: number, next: () => number) => Array.from({ length: count }, next);

describe('generator', () => {
  it.each(golden)('generator: stream $ids is the one of the fixture', ({ ids, words, uniforms }) => {
    const first = stream(ids);
    expect(draw(4, () => first.next())).toEqual(words);
    const second = stream(ids);
    expect(draw(3, () => uniform(second))).toEqual(uniforms);
  });

  it('generator: neighbouring seeds, ids and lists of ids give unrelated first values', () => {
    const firsts = new Set<number>();
    for (let seed = 0; seed < 10; seed += 1)
      for (let id = 0; id < 100; id += 1) {
        firsts.add(uniform(generator(seed, id)));
        firsts.add(uniform(generator(seed, id, 0)));
      }
    expect(firsts.size).toBe(2000);
    // 2000 uniform values in 20 bins: chi-square with 19 degrees of freedom, 43.8 is its 0.999 quantile.
    const bins = new Array<number>(20).fill(0);
    for (const value of firsts) bins[Math.floor(value * 20)]! += 1;
    expect(bins.reduce((sum, bin) => sum + (bin - 100) ** 2 / 100, 0)).toBeLessThan(43.8);
  });

  it('generator: a seed that is not a non-negative safe integer is refused', () => {
    for (const seed of [-1, 0.5, NaN, 2 ** 53]) expect(() => generator(1, seed)).toThrow(BadRequestError);
  });
});

describe('permutation', () => {
  it.each(golden)(
    'permutation: of 12 from stream $ids is the one of the fixture',
    ({ ids, permutation: order }) => {
      expect([...permutation(12, stream(ids))]).toEqual(order);
    },
  );

  it('permutation: every one of the 24 orders of 4 is equally likely', () => {
    const random = generator(5);
    const counts = new Map<string, number>();
    for (let i = 0; i < 24_000; i += 1) {
      const order = permutation(4, random).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    // 23 degrees of freedom: 49.7 is the 0.999 quantile.
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(49.7);
  });

  it('permutation: of nothing and of one', () => {
    expect([...permutation(0, generator(1))]).toEqual([]);
    expect([...permutation(1, generator(1))]).toEqual([0]);
  });
});

describe('normal', () => {
  it('normal: mean 0, variance 1, 4.55 % beyond two standard deviations', () => {
    const random = generator(9);
    const values = draw(100_000, () => normal(random));
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((a, b) => a + b * b, 0) / values.length;
    // Four standard errors each.
    expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(1e5));
    expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / 1e5));
    expect(Math.abs(values.filter((z) => Math.abs(z) > 2).length / 1e5 - 0.0455)).toBeLessThan(0.0027);
  });
});
