import { generator, normal, type RandomGenerator } from '../../protocol/random.js';

/** Vector number `index` of a stream of random vectors of length `size`. */
export type RandomVectors = (index: number) => Float64Array;

/** Standard normal values, drawn from the stream (seed, stream, index). */
export function normalVectors(size: number, seed: number, stream: number): RandomVectors {
  return vectors(size, seed, stream, normal);
}

/** Independent ±1 (Rademacher), drawn from the stream (seed, stream, index). */
export function signVectors(size: number, seed: number, stream: number): RandomVectors {
  // The sign bit, the best one of xoroshiro128+.
  return vectors(size, seed, stream, (random) => (random.next() < 0 ? -1 : 1));
}

function vectors(
  size: number,
  seed: number,
  stream: number,
  draw: (random: RandomGenerator) => number,
): RandomVectors {
  return (index) => {
    const random = generator(seed, stream, index);
    return Float64Array.from({ length: size }, () => draw(random));
  };
}
