import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { symmetricEigen } from '../../../coordinator/dense/symmetric-eigen.js';
import { lanczos, type LanczosOptions } from '../../../coordinator/solvers/lanczos.js';
import { denseOperator, relativeError, times, withSpectrum, type Matrix } from '../../support/dense.js';
import { gaussian, reflections } from '../../support/probes.js';

const solve = (matrix: Matrix, options: Partial<LanczosOptions>, round?: (value: number) => number) =>
  lanczos(denseOperator(matrix, round), {
    ...{ wanted: { largest: 3, smallest: 2 }, tolerance: 1e-10, iterations: 400, blockSize: 1 },
    ...{ random: gaussian(matrix.length, 5), eigensolver: symmetricEigen },
    ...options,
  });

/** ‖Hx − θx‖ of pair i by the dense matrix. */
const residual = (matrix: Matrix, values: Float64Array, vectors: Float64Array, i: number) => {
  const x = vectors.subarray(i * matrix.length, (i + 1) * matrix.length);
  return Math.hypot(...times(matrix, x).map((hx, j) => hx - values[i]! * x[j]!));
};

const geometric = Array.from({ length: 60 }, (_, i) => 10 ** (1 - i / 12));

describe('lanczos', () => {
  it('lanczos: both ends of a known spectrum, through many restarts', async () => {
    const even = Array.from({ length: 60 }, (_, i) => 1 + i / 10);
    const matrix = withSpectrum(even, reflections(60, 1));
    const pairs = await solve(matrix, { basisSize: 12 });
    expect(pairs.converged).toBe(true);
    expect(pairs.iterations).toBeGreaterThan(3 * 12);
    const expected = [6.9, 6.8, 6.7, 1, 1.1];
    // The error of a Ritz value is at most its residual squared over the gap, and the residual itself in any case.
    expected.forEach((value, i) => expect(Math.abs(pairs.values[i]! - value)).toBeLessThan(1e-9));
    expected.forEach((_, i) =>
      expect(Math.abs(residual(matrix, pairs.values, pairs.vectors, i) - pairs.residuals[i]!)).toBeLessThan(
        1e-13,
      ),
    );
    const gram = [0, 1, 2, 3, 4].flatMap((i) =>
      [0, 1, 2, 3, 4].map((j) =>
        pairs.vectors
          .subarray(60 * i, 60 * i + 60)
          .reduce((sum, value, k) => sum + value * pairs.vectors[60 * j + k]!, 0),
      ),
    );
    gram.forEach((value, i) => expect(Math.abs(value - (i % 6 === 0 ? 1 : 0))).toBeLessThan(1e-12));
  });

  it('lanczos: the largest by magnitude, of both signs', async () => {
    const matrix = withSpectrum([5, -4, 3, -2, ...geometric.map((x) => x / 100)], reflections(64, 2));
    const { values } = await solve(matrix, { wanted: { largest: 0, smallest: 0, magnitude: 4 } });
    expect(relativeError(values, [5, -4, 3, -2])).toBeLessThan(1e-12);
  });

  it('lanczos: an eigenvalue of multiplicity 3 is found once by single vectors, three times by blocks', async () => {
    const matrix = withSpectrum([7, 7, 7, ...geometric.slice(20)], reflections(43, 3));
    const wanted = { largest: 3, smallest: 0 };
    // Exact arithmetic would find it once; in six passes, what rounding brings in has not grown yet.
    const single = await solve(matrix, { wanted, iterations: 6 });
    expect(single.values[0]).toBeCloseTo(7, 3);
    expect(single.values[1]).toBeLessThan(6);
    const block = await solve(matrix, { wanted, blockSize: 3 });
    expect(relativeError(block.values, [7, 7, 7])).toBeLessThan(1e-12);
    expect(block.products).toBe(3 * (block.iterations - 1) + 3);
  });

  it('lanczos: an invariant Krylov space is left by a fresh random vector', async () => {
    const matrix = withSpectrum(new Array<number>(9).fill(2), []);
    const pairs = await solve(matrix, { wanted: { largest: 4, smallest: 0 } });
    expect(pairs.values).toHaveLength(4);
    expect(relativeError(pairs.values, [2, 2, 2, 2])).toBeLessThan(1e-14);
    expect(pairs.converged).toBe(true);
    const whole = await solve(matrix, { wanted: { largest: 6, smallest: 6 }, blockSize: 2 });
    expect(whole.values).toHaveLength(9);
    expect(relativeError(whole.values, new Array<number>(9).fill(2))).toBeLessThan(1e-14);
  });

  it('lanczos: too few passes are said so, with true residuals', async () => {
    const matrix = withSpectrum(geometric, reflections(60, 1));
    const pairs = await solve(matrix, { iterations: 8 });
    expect(pairs.converged).toBe(false);
    expect(pairs.iterations).toBe(9);
    expect(pairs.residuals[0]).toBeCloseTo(residual(matrix, pairs.values, pairs.vectors, 0), 12);
  });

  it('lanczos: with products rounded to float32 the residuals told are the true ones, and the tolerance below them is not called reached', async () => {
    const matrix = withSpectrum(geometric, reflections(60, 4));
    const pairs = await solve(
      matrix,
      { wanted: { largest: 3, smallest: 0 }, tolerance: 1e-12, iterations: 120 },
      Math.fround,
    );
    expect(pairs.converged).toBe(false);
    pairs.values.forEach((_, i) => {
      const truth = residual(matrix, pairs.values, pairs.vectors, i);
      // The check's own product rounds: 60 terms of 2⁻²⁴·10 at most.
      expect(Math.abs(pairs.residuals[i]! - truth)).toBeLessThan(1e-5);
      expect(truth).toBeLessThan(1e-5);
    });
  });

  it('lanczos: whatever the spectrum, some eigenvalue lies within each residual of its value', async () => {
    const spectrum = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), {
      minLength: 3,
      maxLength: 24,
    });
    await fc.assert(
      fc.asyncProperty(
        spectrum,
        fc.integer({ min: 1, max: 3 }),
        fc.nat(1000),
        async (values, blockSize, seed) => {
          const size = values.length;
          const matrix = withSpectrum(values, reflections(size, seed));
          const pairs = await solve(matrix, {
            ...{ wanted: { largest: 2, smallest: 1 }, tolerance: 1e-8, blockSize },
            random: gaussian(size, seed),
          });
          const scale = 1e-12 * (1 + Math.max(...values.map(Math.abs)));
          pairs.values.forEach((theta, i) => {
            const nearest = Math.min(...values.map((value) => Math.abs(value - theta)));
            expect(nearest).toBeLessThanOrEqual(pairs.residuals[i]! + scale);
            expect(
              Math.abs(pairs.residuals[i]! - residual(matrix, pairs.values, pairs.vectors, i)),
            ).toBeLessThan(scale);
          });
          expect(pairs.converged).toBe(true);
          expect(Math.abs(pairs.values[0]! - Math.max(...values))).toBeLessThan(1e-6 + scale);
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });

  it('lanczos: an aborted signal ends it with the reason', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = () => controller.abort(reason);
    const matrix = withSpectrum(geometric, reflections(60, 1));
    await expect(solve(matrix, { signal: controller.signal, onProgress })).rejects.toBe(reason);
  });
});
