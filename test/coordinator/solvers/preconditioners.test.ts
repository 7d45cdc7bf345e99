import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Matrix as MatrixOf, pseudoInverse } from 'ml-matrix';
import { symmetricEigen } from '../../../coordinator/dense/symmetric-eigen.js';
import { conjugateGradient } from '../../../coordinator/solvers/conjugate-gradient.js';
import { estimateDiagonal, jacobi } from '../../../coordinator/solvers/jacobi.js';
import { lowRankPreconditioner, nystrom } from '../../../coordinator/solvers/nystrom.js';
import type { Preconditioner } from '../../../coordinator/solvers/preconditioner.js';
import { dot } from '../../../coordinator/solvers/vectors.js';
import type { Matrix } from '../../support/dense.js';
import { denseOperator, relativeError, shifted, solveDense } from '../../support/dense.js';
import { indefinite, normals, spread, turned, withOutliers } from '../../support/spectra.js';

const signs = (size: number) => (index: number) =>
  Float64Array.from(normals(size, 500 + index), (value) => Math.sign(value));
const random = (size: number) => (index: number) => Float64Array.from(normals(size, 700 + index));

/** Small couplings and a diagonal of every size: what Jacobi is for. */
function badlyScaled(size: number, seed: number): Matrix {
  const scales = spread(size, 1e3);
  const { matrix } = turned(spread(size, 3), seed);
  return matrix.map((row, i) =>
    row.map((value, j) => scales[i]! * (i === j ? value : 0.2 * value) * scales[j]!),
  );
}

async function products(matrix: Matrix, damping: number, preconditioner?: Preconditioner): Promise<number> {
  const v = Float64Array.from(normals(2 * matrix.length, 3));
  const solution = await conjugateGradient(denseOperator(matrix), v, {
    ...{ damping, tolerance: 1e-8, iterations: 5000, preconditioner },
  });
  expect(solution.status).toBe('converged');
  const expected = solveDense(shifted(matrix, damping), v.subarray(0, matrix.length));
  expect(relativeError(solution.solutions.subarray(0, matrix.length), expected)).toBeLessThan(1e-2);
  return solution.products;
}

describe('jacobi', () => {
  it('estimateDiagonal: as many probes as parameters give the diagonal exactly, in one pass', async () => {
    const matrix = badlyScaled(20, 1);
    const operator = denseOperator(matrix);
    const { values, errors } = await estimateDiagonal(operator, 20, signs(20));
    expect([...values]).toEqual(matrix.map((row, i) => row[i]));
    expect([...errors]).toEqual(new Array(20).fill(0));
    expect(operator.products).toBe(1);
  });

  it('estimateDiagonal: is as near to the diagonal as its errors say', async () => {
    const { matrix } = turned(spread(60, 10), 2);
    const { values, errors } = await estimateDiagonal(denseOperator(matrix), 30, signs(60));
    const off = matrix.map((row, i) => Math.abs(values[i]! - row[i]!) / errors[i]!);
    // Of 60 nearly normal values none is 5 standard errors off, and not all are within half of one.
    expect(Math.max(...off)).toBeLessThan(5);
    expect(Math.max(...off)).toBeGreaterThan(0.5);
  });

  it('jacobi: takes the scales of the parameters away', async () => {
    const matrix = badlyScaled(60, 3);
    const diagonal = await estimateDiagonal(denseOperator(matrix), 16, signs(60));
    expect(await products(matrix, 1e-3, jacobi(diagonal, 1e-3))).toBeLessThan(
      0.5 * (await products(matrix, 1e-3)),
    );
  });

  it('jacobi: is positive definite for any matrix and damping', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(1e6), fc.constantFrom(0, 0.1), async (seed, damping) => {
        const { matrix } = turned([0, ...indefinite(11, 100, 5)], seed);
        const preconditioner = jacobi(await estimateDiagonal(denseOperator(matrix), 3, signs(12)), damping);
        const into = new Float64Array(12);
        await preconditioner.apply([new Float64Array(12).fill(1)], [into]);
        expect(into.every((value) => value > 0 && Number.isFinite(value))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});

describe('nystrom', () => {
  const options = { firstRank: 4, maximumRank: 64, eigensolver: symmetricEigen };

  it('nystrom: a matrix of low rank is found exactly, and the rank doubled just so far', async () => {
    const values = [...new Array<number>(70).fill(0), 1, 2, 5, 10, 20, 50, 100];
    const a = turned(values, 4);
    const operator = denseOperator(a.matrix);
    const found = await nystrom(operator, { ...options, damping: 0.01, random: random(77) });
    // 4 are too few, 8 see the zeros.
    expect(found.products).toBe(8);
    expect(operator.vectors).toBe(8);
    // Of H + νI the approximation lacks at most ν·(1 + ‖Ω₂Ω₁⁺‖²), Ω₁ and Ω₂ the sketch's parts in the range of H and
    // outside (Gittens & Mahoney 2013, theorem 3); ν = 2.4e-7·‖HΩ‖. Rounding of float64 is far below that.
    const sketch = new MatrixOf(8, 77);
    for (let k = 0; k < 8; k++)
      for (let i = 0; i < 77; i++) sketch.set(k, i, dot(Float64Array.from(a.axis(i)), random(77)(k)));
    const [outside, inside] = [sketch.subMatrix(0, 7, 0, 69), sketch.subMatrix(0, 7, 70, 76)];
    const shift = 2.4e-7 * MatrixOf.mul(sketch, MatrixOf.rowVector(values).repeat({ rows: 8 })).norm();
    const lacks = shift * (1 + outside.transpose().mmul(pseudoInverse(inside.transpose())).norm() ** 2);
    for (const [i, value] of [100, 50, 20, 10, 5, 2, 1].entries()) {
      expect(found.values[i]).toBeLessThan(value + 1e-9);
      expect(found.values[i]).toBeGreaterThan(value - lacks - 1e-9);
      expect(Math.abs(found.values[i]! / value - 1)).toBeLessThan(0.01);
    }
    const [first] = found.vectors;
    expect(
      relativeError(
        a.apply((value) => value, first!),
        first!.map((x) => 100 * x),
      ),
    ).toBeLessThan(Math.min(1e-4, (2 * lacks) / 100));
  });

  it('nystrom: with the outliers known CG has the flat rest to do', async () => {
    const { matrix } = turned(withOutliers(100, 12, 1e6), 5);
    const found = await nystrom(denseOperator(matrix), { ...options, damping: 0.1, random: random(100) });
    expect(found.products).toBeLessThanOrEqual(32);
    expect(await products(matrix, 0.1, lowRankPreconditioner(found, 0.1))).toBeLessThan(
      0.4 * (await products(matrix, 0.1)),
    );
  });

  it('nystrom: float32 products do as well', async () => {
    const { matrix } = turned(withOutliers(100, 12, 1e5), 6);
    const operator = denseOperator(matrix, Math.fround);
    const found = await nystrom(operator, { ...options, damping: 0.1, random: random(100) });
    expect(await products(matrix, 0.1, lowRankPreconditioner(found, 0.1))).toBeLessThan(
      0.5 * (await products(matrix, 0.1)),
    );
  });

  it('nystrom: is positive definite where the matrix is not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(1e6), fc.integer({ min: 0, max: 20 }), async (seed, negative) => {
        const { matrix } = turned(indefinite(20, 100, negative), seed);
        const found = await nystrom(denseOperator(matrix), { ...options, damping: 1e-3, random: random(20) });
        const preconditioner = lowRankPreconditioner(found, 1e-3);
        const [r, z] = [Float64Array.from(normals(20, seed + 1)), new Float64Array(20)];
        await preconditioner.apply([r], [z]);
        expect(r.reduce((sum, value, i) => sum + value * z[i]!, 0)).toBeGreaterThan(0);
      }),
      { numRuns: 40 },
    );
  });
});
