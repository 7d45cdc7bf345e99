import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { symmetricEigen } from '../../../coordinator/dense/symmetric-eigen.js';
import { lanczos } from '../../../coordinator/solvers/lanczos.js';
import { lowRankSolutions } from '../../../coordinator/solvers/low-rank.js';
import {
  denseOperator,
  difference,
  relativeError,
  shifted,
  solveDense,
  times,
  withSpectrum,
  type Matrix,
} from '../../support/dense.js';
import { gaussian, reflections } from '../../support/probes.js';

const pairsOf = (matrix: Matrix, rank: number) =>
  lanczos(denseOperator(matrix), {
    ...{ wanted: { largest: 0, smallest: 0, magnitude: rank }, tolerance: 1e-12, iterations: 300 },
    ...{ blockSize: 1, random: gaussian(matrix.length, 3), eigensolver: symmetricEigen },
  });

describe('lowRankSolutions', () => {
  it('lowRankSolutions: exact where the rest of the spectrum is c, for several right-hand sides', async () => {
    const matrix = withSpectrum([9, -5, 3, ...new Array<number>(17).fill(0.1)], reflections(20, 1));
    const v = Float64Array.from([0, 1].flatMap((k) => [...gaussian(20, 7)(k)]));
    const solutions = lowRankSolutions(await pairsOf(matrix, 3), v, 0.02, 0.1);
    for (const k of [0, 1]) {
      const column = v.subarray(20 * k, 20 * k + 20);
      // Indefinite: by the residual.
      const back = times(shifted(matrix, 0.02), solutions.subarray(20 * k, 20 * k + 20));
      expect(relativeError(back, column)).toBeLessThan(1e-11);
    }
  });

  it('lowRankSolutions: with all pairs it is the inverse, whatever is said of the complement', async () => {
    const spectrum = [4, 2, 1, 0.5, 0.25];
    const matrix = withSpectrum(spectrum, reflections(5, 2));
    const v = gaussian(5, 1)(0);
    const pairs = await pairsOf(matrix, 5);
    const exact = solveDense(shifted(matrix, 0.3), v);
    for (const complement of [0, 7, Infinity])
      expect(relativeError(lowRankSolutions(pairs, v, 0.3, complement), exact)).toBeLessThan(1e-11);
  });

  it('lowRankSolutions: dropping the complement leaves exactly that part of v as the residual', async () => {
    const matrix = withSpectrum([8, 6, 4, 1, 0.5, 0.1], reflections(6, 3));
    const pairs = await pairsOf(matrix, 2);
    const v = gaussian(6, 2)(0);
    const s = lowRankSolutions(pairs, v, 0.1, Infinity);
    const left = times(shifted(matrix, 0.1), s).map((x, i) => v[i]! - x);
    const outside = [...v];
    for (const i of [0, 1]) {
      const q = pairs.vectors.subarray(6 * i, 6 * i + 6);
      const along = q.reduce((sum, x, j) => sum + x * v[j]!, 0);
      q.forEach((x, j) => (outside[j]! -= along * x));
    }
    expect(difference(left, outside)).toBeLessThan(1e-10);
  });

  it('lowRankSolutions: the residual is (H − c)(I − QQᵀ)v/(c + λ), for any spectrum, damping and c', async () => {
    const spectrum = fc.array(fc.double({ min: 0.01, max: 10, noNaN: true }), {
      minLength: 4,
      maxLength: 12,
    });
    const positive = fc.double({ min: 0.01, max: 5, noNaN: true });
    await fc.assert(
      fc.asyncProperty(spectrum, positive, positive, fc.nat(99), async (values, damping, c, seed) => {
        const size = values.length;
        const sorted = values.slice().sort((a, b) => b - a);
        // The subspace is well defined only where there is a gap behind it.
        fc.pre(sorted[1]! - sorted[2]! > 0.05);
        const matrix = withSpectrum(values, reflections(size, seed));
        const pairs = await pairsOf(matrix, 2);
        const v = gaussian(size, seed)(1);
        const s = lowRankSolutions(pairs, v, damping, c);
        const residual = times(shifted(matrix, damping), s).map((x, i) => v[i]! - x);
        const outside = [...v];
        for (const i of [0, 1]) {
          const q = pairs.vectors.subarray(size * i, size * (i + 1));
          const along = q.reduce((sum, x, j) => sum + x * v[j]!, 0);
          q.forEach((x, j) => (outside[j]! -= along * x));
        }
        const expected = times(shifted(matrix, -c), outside).map((x) => -x / (c + damping));
        expect(difference(residual, expected)).toBeLessThan(1e-7 * Math.hypot(...v));
      }),
      { numRuns: 40, seed: 3 },
    );
  });

  it('lowRankSolutions: halfway to the smallest eigenvalue kept, the residual is bounded below ‖v‖; dividing by λ is not', async () => {
    for (const rest of [
      [5, 4, 1, 0],
      [0.1, 0.01, 0, 0],
      [5.9, 5.8, 5.7, 5.6],
    ]) {
      const matrix = withSpectrum([9, 6, ...rest], reflections(6, 4));
      const pairs = await pairsOf(matrix, 2);
      const v = gaussian(6, 5)(0);
      for (const damping of [0.01, 1]) {
        const residual = (c: number) =>
          relativeError(times(shifted(matrix, damping), lowRankSolutions(pairs, v, damping, c)), v);
        expect(residual(3)).toBeLessThanOrEqual(3 / (3 + damping) + 1e-9);
        if (damping < 0.1 && rest[0]! > 1) expect(residual(0)).toBeGreaterThan(10);
      }
    }
  });
});
