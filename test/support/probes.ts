import { generator, normal, uniform } from '../../protocol/random.js';

/** Random vectors by number, as the coordinator hands them to solvers. */
export const gaussian = (size: number, seed: number) => (index: number) => {
  const random = generator(seed, index);
  return Float64Array.from({ length: size }, () => normal(random));
};

export const rademacher = (size: number, seed: number) => (index: number) => {
  const random = generator(seed, index);
  return Float64Array.from({ length: size }, () => (uniform(random) < 0.5 ? -1 : 1));
};

/** A symmetric matrix's eigenvectors for `withSpectrum`: some reflections along random vectors. */
export const reflections = (size: number, seed: number, count = 3) =>
  Array.from({ length: count }, (_, i) => [...gaussian(size, seed)(i)]);
