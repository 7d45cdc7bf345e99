import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { conjugateGradient } from '../../../coordinator/solvers/conjugate-gradient.js';
import type { Progress } from '../../../coordinator/solvers/types.js';
import { generator, normal } from '../../../protocol/random.js';
import type { Matrix } from '../../support/dense.js';
import {
  denseOperator,
  diagonal,
  relativeError,
  shifted,
  solveDense,
  times,
  withSpectrum,
} from '../../support/dense.js';

const defaults = { damping: 0, tolerance: 1e-10, iterations: 1000 };

function normals(count: number, seed: number): number[] {
  const random = generator(seed);
  return Array.from({ length: count }, () => normal(random));
}

/** Symmetric, eigenvalues from 1 to `condition`, evenly spread in the logarithm, axes turned at random. */
function problem(size: number, condition: number, seed: number): Matrix {
  const values = Array.from({ length: size }, (_, i) => condition ** (i / (size - 1)));
  return withSpectrum(values, [normals(size, seed), normals(size, seed + 1), normals(size, seed + 2)]);
}

const columnOf = (block: Float64Array, k: number, size: number) => block.subarray(k * size, (k + 1) * size);
const residual = (matrix: Matrix, s: Float64Array, v: Float64Array) => relativeError(times(matrix, s), v);

describe('conjugateGradient', () => {
  it('conjugateGradient: solves the tridiagonal example of three unknowns in three products', async () => {
    const matrix = [
      [4, 1, 0],
      [1, 3, 1],
      [0, 1, 2],
    ];
    const solution = await conjugateGradient(denseOperator(matrix), Float64Array.of(1, 2, 3), defaults);
    expect(solution.status).toBe('converged');
    // By Cramer's rule: determinant 18, x = (4, 2, 26)/18.
    expect(relativeError(solution.solutions, [4 / 18, 2 / 18, 26 / 18])).toBeLessThan(1e-14);
    expect(solution.iterations).toBe(3);
    expect(solution.products).toBe(4);
  });

  it.each([1, 10, 100, 1e3, 1e4, 1e6])(
    'conjugateGradient: condition %d agrees with Cholesky, damping included',
    async (condition) => {
      const size = 30;
      const matrix = problem(size, condition, 3);
      const v = Float64Array.from(normals(size, 8));
      const solution = await conjugateGradient(denseOperator(matrix), v, { ...defaults, damping: 0.5 });
      expect(solution.status).toBe('converged');
      // error ≤ κ·residual
      expect(relativeError(solution.solutions, solveDense(shifted(matrix, 0.5), v))).toBeLessThan(
        condition * 1e-10,
      );
      expect(solution.trueResiduals[0]).toBeLessThanOrEqual(1e-10);
    },
  );

  it('conjugateGradient: a ridge problem agrees with its normal equations', async () => {
    const [rows, size, l2] = [57, 6, 0.1];
    const x = Array.from({ length: rows }, (_, i) => normals(size, 100 + i));
    const gram = diagonal(new Array<number>(size).fill(l2));
    for (const row of x)
      for (let i = 0; i < size; i += 1)
        for (let j = 0; j < size; j += 1) gram[i]![j]! += (2 * row[i]! * row[j]!) / rows;
    const v = Float64Array.from(normals(size, 5));
    const solution = await conjugateGradient(denseOperator(gram), v, { ...defaults, tolerance: 1e-12 });
    expect(relativeError(solution.solutions, solveDense(gram, v))).toBeLessThan(1e-10);
  });

  it('conjugateGradient: seven right-hand sides, dependent and zero ones among them, share each product', async () => {
    const size = 20;
    const matrix = problem(size, 50, 40);
    const operator = denseOperator(matrix);
    const a = normals(size, 50);
    const b = normals(size, 51);
    const rows = [
      a,
      a,
      a.map((x) => -2 * x),
      b,
      a.map((x, i) => x + b[i]!),
      new Array<number>(size).fill(0),
      b,
    ];
    const solution = await conjugateGradient(operator, Float64Array.from(rows.flat()), defaults);
    expect(solution.columns).toEqual(new Array(7).fill('converged'));
    for (const [k, v] of rows.entries()) {
      const s = columnOf(solution.solutions, k, size);
      if (k === 5) expect([...s]).toEqual(new Array<number>(size).fill(0));
      else expect(relativeError(s, solveDense(matrix, v))).toBeLessThan(50 * 1e-10);
    }
    expect(operator.products).toBe(solution.products);
    expect(solution.products).toBe(solution.iterations + 1);
    // The zero one never travels, not even in the final check.
    expect(operator.vectors).toBeLessThanOrEqual(6 * solution.products);
  });

  it('conjugateGradient: finished right-hand sides leave the block', async () => {
    const operator = denseOperator(diagonal([1, 2, 3, 4]));
    const v = Float64Array.of(1, 0, 0, 0, /* next */ 1, 1, 1, 1, /* next */ 0, 1, 1, 0);
    const solution = await conjugateGradient(operator, v, defaults);
    expect(solution.iterations).toBe(4);
    // As many iterations as eigenvalues present: 1, 4 and 2; and three vectors in the final product.
    expect(operator.vectors).toBe(1 + 4 + 2 + 3);
  });

  it('conjugateGradient: all right-hand sides zero cost no product', async () => {
    const solution = await conjugateGradient(denseOperator(diagonal([1, 2])), new Float64Array(4), defaults);
    expect(solution).toMatchObject({
      status: 'converged',
      products: 0,
      iterations: 0,
      trueResiduals: [0, 0],
    });
  });

  it('conjugateGradient: a column gets the same bits alone and among others', async () => {
    const matrix = problem(12, 30, 60);
    const v = Float64Array.from(normals(3 * 12, 61));
    const together = await conjugateGradient(denseOperator(matrix), v, defaults);
    for (let k = 0; k < 3; k += 1) {
      const alone = await conjugateGradient(denseOperator(matrix), columnOf(v, k, 12), defaults);
      expect([...alone.solutions]).toEqual([...columnOf(together.solutions, k, 12)]);
    }
  });

  it('conjugateGradient: the residual it reports is the residual there is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          size: fc.integer({ min: 2, max: 12 }),
          condition: fc.integer({ min: 1, max: 1e5 }),
          count: fc.integer({ min: 1, max: 4 }),
          seed: fc.nat(1e6),
          damping: fc.constantFrom(0, 0.01, 1),
          iterations: fc.integer({ min: 0, max: 30 }),
          tolerance: fc.constantFrom(1e-2, 1e-6, 1e-12),
          float32: fc.boolean(),
        }),
        async ({ size, condition, count, seed, float32, ...options }) => {
          const matrix = problem(size, condition, seed);
          const v = Float64Array.from(normals(count * size, seed + 9));
          const operator = denseOperator(matrix, float32 ? Math.fround : undefined);
          const solution = await conjugateGradient(operator, v, options);
          const damped = shifted(matrix, options.damping);
          for (let k = 0; k < count; k += 1) {
            const s = columnOf(solution.solutions, k, size);
            const there = residual(damped, s, columnOf(v, k, size));
            const promised = solution.trueResiduals[k]!;
            // A product is off by ε‖H‖‖s‖, ε of the operator's precision; sums of 12 terms.
            const epsilon = (float32 ? 2e-7 : 5e-15) * condition * 12;
            const rounding = (epsilon * Math.hypot(...s)) / Math.hypot(...columnOf(v, k, size));
            expect(Math.abs(there - promised)).toBeLessThanOrEqual(rounding);
            if (solution.columns[k] === 'converged') expect(promised).toBeLessThanOrEqual(options.tolerance);
            else expect(promised).toBeGreaterThan(options.tolerance);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('conjugateGradient: a tolerance below float32 ends as precision-limited and says what was reached', async () => {
    const size = 30;
    const matrix = problem(size, 1e4, 80);
    const v = Float64Array.from(normals(size, 81));
    const solution = await conjugateGradient(denseOperator(matrix, Math.fround), v, {
      ...defaults,
      tolerance: 1e-12,
    });
    expect(solution.status).toBe('precision-limited');
    const reached = solution.trueResiduals[0]!;
    expect(reached).toBeGreaterThan(1e-12);
    expect(reached).toBeLessThan(1e-3);
    expect(solution.advice).toContain(`the residual computed anew is`);
  });

  it('conjugateGradient: negative curvature ends as indefinite, finite, and its advice leads to an answer', async () => {
    const matrix = withSpectrum([5, 3, 1, -0.5], [normals(4, 90), normals(4, 91)]);
    const v = Float64Array.from(normals(8, 92));
    let damping = 0;
    let solution = await conjugateGradient(denseOperator(matrix), v, defaults);
    expect(solution.status).toBe('indefinite');
    // One direction shows part of the negative curvature only, so the advice may have to be followed more than once.
    for (let round = 0; round < 5 && solution.status === 'indefinite'; round += 1) {
      expect([...solution.solutions].every(Number.isFinite)).toBe(true);
      expect(solution.advice).toContain('gauss-newton');
      damping = Number(/say ([\d.e+-]+),/.exec(solution.advice)?.[1]);
      solution = await conjugateGradient(denseOperator(matrix), v, { ...defaults, damping });
    }
    expect(solution.status).toBe('converged');
    const expected = solveDense(shifted(matrix, damping), v.subarray(4));
    expect(relativeError(columnOf(solution.solutions, 1, 4), expected)).toBeLessThan(1e-8);
  });

  it('conjugateGradient: H = −I names the damping that it needs', async () => {
    const solution = await conjugateGradient(denseOperator(diagonal([-1, -1])), Float64Array.of(1, 2), {
      ...defaults,
      damping: 0.25,
    });
    expect(solution.status).toBe('indefinite');
    expect(solution.trueResiduals).toEqual([1]);
    // pᵀ(H+λI)p/pᵀp = −0.75, so λ must exceed 0.25 + 0.75.
    expect(solution.advice).toContain('above 1, say 1.75,');
  });

  it('conjugateGradient: H = 0 without damping is called singular', async () => {
    const solution = await conjugateGradient(
      denseOperator(diagonal([0, 0])),
      Float64Array.of(1, 2),
      defaults,
    );
    expect(solution.status).toBe('indefinite');
    expect(solution.advice).toContain('Use some damping');
  });

  it('conjugateGradient: the iteration limit is a result that says how many more', async () => {
    const matrix = problem(40, 1e4, 110);
    const v = Float64Array.from(normals(40, 111));
    const solution = await conjugateGradient(denseOperator(matrix), v, { ...defaults, iterations: 8 });
    expect(solution).toMatchObject({ status: 'iteration-limit', iterations: 8, products: 9 });
    expect(solution.residualHistory).toHaveLength(8);
    expect(solution.advice).toContain('limit of 8 iterations');
  });

  it('conjugateGradient: numbers that are not finite, from v or from a product, never reach the answer', async () => {
    const bad = { size: 2, multiply: () => Promise.resolve(Float64Array.of(NaN, 1)) };
    const fromProduct = await conjugateGradient(bad, Float64Array.of(1, 2), defaults);
    expect(fromProduct).toMatchObject({ status: 'diverged', trueResiduals: [1] });
    expect([...fromProduct.solutions]).toEqual([0, 0]);
    const v = Float64Array.of(NaN, 1, /* next */ 1, 2);
    const fromV = await conjugateGradient(denseOperator(diagonal([1, 2])), v, defaults);
    expect(fromV.columns).toEqual(['diverged', 'converged']);
    expect([...fromV.solutions].every(Number.isFinite)).toBe(true);
    expect(fromV.trueResiduals.every(Number.isFinite)).toBe(true);
  });

  it('conjugateGradient: progress counts products and reports every right-hand side', async () => {
    const seen: Progress[] = [];
    const solution = await conjugateGradient(
      denseOperator(diagonal([1, 2, 3])),
      Float64Array.of(1, 1, 1, 1, 0, 0),
      {
        ...defaults,
        onProgress: (progress) => seen.push(progress),
      },
    );
    expect(seen.map(({ iteration, products }) => [iteration, products])).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
    expect(seen.every(({ residuals }) => residuals.length === 2)).toBe(true);
    expect(seen.map(({ worst }) => worst)).toEqual(solution.residualHistory);
  });

  it('conjugateGradient: an aborted signal ends it with the reason, before the next product', async () => {
    const controller = new AbortController();
    const operator = denseOperator(problem(10, 1e4, 120));
    const reason = new Error('cancelled by the user');
    const solving = conjugateGradient(operator, Float64Array.from(normals(10, 121)), {
      ...defaults,
      signal: controller.signal,
      onProgress: ({ iteration }) => {
        if (iteration === 2) controller.abort(reason);
      },
    });
    await expect(solving).rejects.toBe(reason);
    expect(operator.products).toBe(2);
  });
});
