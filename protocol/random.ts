import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import { BadRequestError } from './errors.js';

export type { RandomGenerator };

/**
 * The stream of random numbers that belongs to (seed, ids…), e.g. (seed, sample, pass, shard): xoroshiro128+ whose
 * 128-bit state is a hash of the list. Four lanes each absorb the list's length and then the low and high 32 bits of
 * every number by h ← fmix32((h ⊕ word) + 0x9e3779b9), with MurmurHash3's finalizer fmix32, from four different
 * starts (the first 32 bits of the fractional parts of √2, √3, √5, √7). Streams are part of every reproducible result: changing
 * anything here changes answers.
 * @throws BadRequestError unless the seed and the ids are non-negative safe integers.
 */
export function generator(seed: number, ...ids: number[]): RandomGenerator {
  const numbers = [seed, ...ids];
  const wrong = numbers.find((number) => !Number.isSafeInteger(number) || number < 0);
  if (wrong !== undefined) throw new BadRequestError(`a seed is a non-negative integer, not ${wrong}`);
  const words = [
    numbers.length,
    ...numbers.flatMap((number) => [number >>> 0, Math.floor(number / 2 ** 32)]),
  ];
  const lane = (start: number) =>
    words.reduce((hash, word) => fmix32(((hash ^ word) + 0x9e3779b9) | 0), start) | 0;
  const state = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a].map(lane);
  return xoroshiro128plusFromState(state);
}

/** A uniformly random order of 0…n−1 (Fisher–Yates). */
export function permutation(n: number, random: RandomGenerator): Int32Array {
  const order = Int32Array.from({ length: n }, (_, index) => index);
  for (let last = n - 1; last > 0; last -= 1) {
    const other = uniformInt(random, 0, last);
    const kept = order[last]!;
    order[last] = order[other]!;
    order[other] = kept;
  }
  return order;
}

/** `count` numbers of 0…n−1, each drawn from all of them. */
export function draw(n: number, count: number, random: RandomGenerator): Int32Array {
  return Int32Array.from({ length: count }, () => uniformInt(random, 0, n - 1));
}

/** Uniform in [0, 1), 53 random bits. */
export function uniform(random: RandomGenerator): number {
  return uniformFloat64(random);
}

/** Standard normal (Box–Muller, one of the pair). */
export function normal(random: RandomGenerator): number {
  const radius = Math.sqrt(-2 * Math.log(1 - uniform(random)));
  return radius * Math.cos(2 * Math.PI * uniform(random));
}

function fmix32(word: number): number {
  let mixed = word;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
