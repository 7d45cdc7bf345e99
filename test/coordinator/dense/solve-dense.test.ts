import { describe, expect, it } from '@jest/globals';
import { conditionNumber } from '../../../coordinator/dense/condition.js';
import { inThread } from '../../../coordinator/dense/in-thread.js';
import { relativeError, shifted, solveDense as reference, times, type Matrix } from '../../support/dense.js';
import { clustered, families, indefinite, normals, spread, turned } from '../../support/spectra.js';

const signal = new AbortController().signal;

function solve(matrix: Matrix, rightHandSides: Float64Array, damping = 0) {
  const size = matrix.length;
  const shared = new SharedArrayBuffer(8 * size * size);
  new Float64Array(shared).set(matrix.flat());
  const count = rightHandSides.length / size;
  return inThread('solveDense', { matrix: shared, size, damping, rightHandSides, count }, signal);
}

describe('solveDense', () => {
  it('solveDense: the tridiagonal example of three unknowns', async () => {
    const matrix = [
      [4, 1, 0],
      [1, 3, 1],
      [0, 1, 2],
    ];
    const { solutions, definite, conditionNumber: condition } = await solve(matrix, Float64Array.of(1, 2, 3));
    // By Cramer's rule.
    expect(relativeError(solutions, [4 / 18, 2 / 18, 26 / 18])).toBeLessThan(1e-15);
    expect(definite).toBe(true);
    // A⁻¹ = [[5, −2, 1], [−2, 8, −4], [1, −4, 11]] / 18: ‖A‖₁ = 5, ‖A⁻¹‖₁ = 16/18.
    expect(condition).toBeCloseTo((5 * 16) / 18, 12);
  });

  it.each(families.filter(({ name }) => name !== 'singular'))(
    'solveDense: $name, by its known spectrum',
    async ({ values, definite: positive }) => {
      const known = turned(values, 5);
      const { matrix } = known;
      const v = Float64Array.from(normals(2 * values.length, 9));
      const { solutions, definite, conditionNumber: condition } = await solve(matrix, v);
      expect(definite).toBe(positive);
      const sizes = values.map(Math.abs);
      const spectral = Math.max(...sizes) / Math.min(...sizes);
      for (const k of [0, 1]) {
        const [from, to] = [k * values.length, (k + 1) * values.length];
        const expected = known.apply((value) => 1 / value, v.subarray(from, to));
        // Backward stable: κ·2⁻⁵³·(a small factor), of the reference's own axes too.
        expect(relativeError(solutions.subarray(from, to), expected)).toBeLessThan(1e-14 * spectral);
      }
      // κ₂ ≤ n·κ₁ and κ₁ ≤ n·κ₂; the estimate of κ₁ is from below, by less than 10.
      expect(condition).toBeGreaterThan(spectral / (10 * values.length));
      expect(condition).toBeLessThan(spectral * values.length);
    },
  );

  it.each([
    ['definite', clustered(300, 1e4, 7)],
    ['indefinite', indefinite(300, 1e3, 40)],
  ])('solveDense: three panels of a matrix that is %s, damping added', async (_, values) => {
    const known = turned(values, 6);
    const { matrix } = known;
    const v = Float64Array.from(normals(300, 10));
    const { solutions } = await solve(matrix, v, 0.37);
    const damped = values.map((value) => Math.abs(value + 0.37));
    const condition = Math.max(...damped) / Math.min(...damped);
    const expected = known.apply((value) => 1 / (value + 0.37), v);
    expect(relativeError(solutions, expected)).toBeLessThan(1e-14 * condition);
    expect(relativeError(times(shifted(matrix, 0.37), solutions), v)).toBeLessThan(1e-14 * condition);
  });

  it('solveDense: what is not symmetric is taken by its symmetric part', async () => {
    const matrix = [
      [4, 1.5],
      [0.5, 3],
    ];
    const { solutions } = await solve(matrix, Float64Array.of(1, 2));
    const symmetric = [
      [4, 1],
      [1, 3],
    ];
    expect(relativeError(solutions, reference(symmetric, [1, 2]))).toBeLessThan(1e-15);
  });

  it('solveDense: a singular matrix is seen by its condition number', async () => {
    const { matrix } = turned([...spread(30, 100), 0, 0], 7);
    const { definite, conditionNumber: condition } = await solve(matrix, Float64Array.from(normals(32, 1)));
    // Zero eigenvalues are about 1e-15·‖A‖ in the matrix as written.
    expect(definite && condition < 1e13).toBe(false);
    expect(condition > 1e13 || !Number.isFinite(condition)).toBe(true);
  });

  it('solveDense: an aborted signal ends it with the reason', async () => {
    const reason = new Error('cancelled by the user');
    const system = { size: 1, damping: 0, rightHandSides: Float64Array.of(1), count: 1 };
    const matrix = new SharedArrayBuffer(8);
    await expect(inThread('solveDense', { ...system, matrix }, AbortSignal.abort(reason))).rejects.toBe(
      reason,
    );
  });
});

describe('conditionNumber', () => {
  it("conditionNumber: Hilbert's matrix of order 8, whose κ₁ is 3.39e10", async () => {
    const size = 8;
    const hilbert = Array.from({ length: size }, (_, i) =>
      Array.from({ length: size }, (_, j) => 1 / (i + j + 1)),
    );
    const norm = Array.from({ length: size }, (_, i) => 1 / (i + 1)).reduce((sum, value) => sum + value, 0);
    const condition = await conditionNumber(norm, size, (x) =>
      Promise.resolve(Float64Array.from(reference(hilbert, x))),
    );
    // Higham 2002, Accuracy and Stability, table 28.1: κ₂ = 1.53e10; κ₁ = 3.387e10.
    expect(condition).toBeGreaterThan(3.3e10);
    expect(condition).toBeLessThan(3.5e10);
  });
});
