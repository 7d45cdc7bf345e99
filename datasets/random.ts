import { createHash } from 'node:crypto';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

export type { RandomGenerator };

/** A stream of its own for each seed. Its state is a hash, for xoroshiro's own seeding gives neighbours alike streams. */
export function generator(seed: number): RandomGenerator {
  const hash = createHash('sha256').update(`${seed}`).digest();
  return xoroshiro128plusFromState([0, 4, 8, 12].map((at) => hash.readInt32LE(at)));
}

/** A uniformly random order of 0…n−1 (Fisher–Yates). */
export function permutation(n: number, random: RandomGenerator): Int32Array {
  const order = Int32Array.from({ length: n }, (_, index) => index);
  for (let last = n - 1; last > 0; last--) {
    const other = uniformInt(random, 0, last);
    const swapped = order[last]!;
    order[last] = order[other]!;
    order[other] = swapped;
  }
  return order;
}

/** Uniform in [0, 1). */
export function uniform(random: RandomGenerator): number {
  return uniformFloat64(random);
}

/** A draw from N(0, 1) (Box–Muller). */
export function normal(random: RandomGenerator): number {
  const radius = Math.sqrt(-2 * Math.log(1 - uniform(random)));
  return radius * Math.cos(2 * Math.PI * uniform(random));
}
