import { generator, normal } from '../../protocol/random.js';
import { withSpectrum, type Matrix } from './dense.js';

/** `count` standard normal numbers, the same for the same seed. */
export function normals(count: number, seed: number): number[] {
  const random = generator(seed);
  return Array.from({ length: count }, () => normal(random));
}

/** A symmetric matrix A = Q·diag(values)·Qᵀ whose spectrum is known because it was made of it. */
export interface Turned {
  readonly values: readonly number[];
  readonly matrix: Matrix;
  /** f(A)·v = Q·diag(f(values))·Qᵀ·v: with f = 1/λ the solution of A·x = v, to about 1e-15·max|f| relative to ‖v‖. */
  apply(f: (value: number) => number, v: ArrayLike<number>): number[];
  /** The eigenvector of `values[index]`: a column of Q. */
  axis: (index: number) => number[];
}

/** A with these eigenvalues and axes turned at random: Q is the product of three Householder reflections. */
export function turned(values: readonly number[], seed: number): Turned {
  const reflections = [1, 2, 3].map((each) => normals(values.length, 3 * seed + each));
  const reflect = (x: number[], u: number[]): number[] => {
    const along =
      (2 * x.reduce((sum, value, i) => sum + value * u[i]!, 0)) / u.reduce((s, w) => s + w * w, 0);
    return x.map((value, i) => value - along * u[i]!);
  };
  const turn = (v: number[]) => reflections.reduce(reflect, v);
  return {
    values,
    matrix: withSpectrum([...values], reflections),
    apply(f, v) {
      const along = reflections.toReversed().reduce(reflect, Array.from(v));
      const scaled = along.map((value, i) => value * f(values[i]!));
      return turn(scaled);
    },
    axis: (index) => turn(values.map((_, i) => (i === index ? 1 : 0))),
  };
}

/** Eigenvalues from 1 to `condition`, evenly spread in the logarithm. */
export const spread = (size: number, condition: number): number[] =>
  Array.from({ length: size }, (_, i) => condition ** (i / Math.max(1, size - 1)));

/** Eigenvalues in `clusters` tight groups (1e-3 wide, relative) from 1 to `condition`. */
export const clustered = (size: number, condition: number, clusters: number): number[] =>
  Array.from({ length: size }, (_, i) => {
    const cluster = i % clusters;
    return condition ** (cluster / Math.max(1, clusters - 1)) * (1 + (1e-3 * i) / size);
  });

/** Eigenvalues spread from 1 to 2, and `outliers` far above, from 100 to `largest`: usual for classifiers. */
export const withOutliers = (size: number, outliers: number, largest: number): number[] => [
  ...Array.from({ length: size - outliers }, (_, i) => 1 + i / (size - outliers)),
  ...Array.from({ length: outliers }, (_, i) => 100 * (largest / 100) ** ((i + 1) / outliers)),
];

/** Eigenvalues of both signs, spread from 1 to `condition` in size, `negative` of them below zero. */
export const indefinite = (size: number, condition: number, negative: number): number[] =>
  spread(size, condition).map((value, i) =>
    Math.floor(((i + 1) * negative) / size) > Math.floor((i * negative) / size) ? -value : value,
  );

/** `rank` eigenvalues from 1 to `condition`, the others zero. */
export const singular = (size: number, condition: number, rank: number): number[] => [
  ...spread(rank, condition),
  ...new Array<number>(size - rank).fill(0),
];

/** Families that solvers are tried on. `definite`: all eigenvalues are above zero. */
export const families: { name: string; values: number[]; definite: boolean }[] = [
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8].map((power) => ({
    name: `condition 1e${power}`,
    values: spread(40, 10 ** power),
    definite: true,
  })),
  { name: 'clustered', values: clustered(40, 1e6, 4), definite: true },
  { name: 'outliers', values: withOutliers(40, 6, 1e4), definite: true },
  { name: 'indefinite', values: indefinite(40, 100, 7), definite: false },
  { name: 'one negative eigenvalue', values: [-0.5, ...spread(39, 100)], definite: false },
  { name: 'singular', values: singular(40, 100, 30), definite: false },
];

/**
 * K vectors of length `size`, a row each, that span `rank` dimensions, but for a part of the size `noise` that is their own:
 * 0 for dependent ones, 1e-8 for nearly dependent ones.
 */
export function dependent(size: number, count: number, rank: number, seed: number, noise = 0): Float64Array {
  const basis = normals(rank * size, seed);
  const weights = normals(count * rank, seed + 1);
  const own = normals(count * size, seed + 2);
  return Float64Array.from({ length: count * size }, (_, i) => {
    const [k, j] = [Math.floor(i / size), i % size];
    let sum = noise * own[i]!;
    for (let b = 0; b < rank; b += 1) sum += weights[k * rank + b]! * basis[b * size + j]!;
    return sum;
  });
}
