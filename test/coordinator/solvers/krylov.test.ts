import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { conjugateGradient } from '../../../coordinator/solvers/conjugate-gradient.js';
import { drive } from '../../../coordinator/solvers/krylov.js';
import type { Operator } from '../../../coordinator/solvers/types.js';
import { denseOperator, diagonal, relativeError, shifted, times } from '../../support/dense.js';
import { dependent, families, normals, spread, turned, withOutliers } from '../../support/spectra.js';

const defaults = { damping: 0, tolerance: 1e-8, iterations: 5000 };
const columnOf = (block: Float64Array, k: number, size: number) => block.subarray(k * size, (k + 1) * size);
const recursions = [
  { name: 'independent', block: false },
  { name: 'block', block: true },
];

describe.each(recursions)('conjugateGradient, $name recursions', ({ block }) => {
  it.each(families.filter(({ definite }) => definite))(
    'conjugateGradient: $name: the answer is A⁻¹v, and the residual the one it tells',
    async ({ values }) => {
      const a = turned(values, 1);
      const v = Float64Array.from(normals(3 * 40, 2));
      const solution = await conjugateGradient(denseOperator(a.matrix), v, { ...defaults, block });
      expect(solution.columns).toEqual(['converged', 'converged', 'converged']);
      const condition = Math.max(...values) / Math.min(...values);
      for (let k = 0; k < 3; k += 1) {
        const [s, vk] = [columnOf(solution.solutions, k, 40), columnOf(v, k, 40)];
        // error ≤ κ·residual, and the reference is off by κ·1e-15
        expect(
          relativeError(
            s,
            a.apply((value) => 1 / value, vk),
          ),
        ).toBeLessThan(condition * 1.1e-8);
        const there = relativeError(times(a.matrix, s), vk);
        const rounding = (40 * 1e-15 * Math.max(...values) * Math.hypot(...s)) / Math.hypot(...vk);
        expect(Math.abs(there - solution.trueResiduals[k]!)).toBeLessThanOrEqual(rounding);
      }
    },
  );

  it.each([0, 1e-12, 1e-8, 1e-4])(
    'conjugateGradient: seven right-hand sides in two dimensions but for %d of their own',
    async (noise) => {
      const a = turned(spread(40, 1e3), 3);
      const v = dependent(40, 7, 2, 4, noise);
      const solution = await conjugateGradient(denseOperator(a.matrix), v, { ...defaults, block });
      expect(solution.status).toBe('converged');
      for (let k = 0; k < 7; k += 1)
        expect(
          relativeError(
            columnOf(solution.solutions, k, 40),
            a.apply((value) => 1 / value, columnOf(v, k, 40)),
          ),
        ).toBeLessThan(1e3 * 1e-8);
    },
  );

  it('conjugateGradient: errors in early products are made good from the true residual', async () => {
    const a = turned(spread(40, 100), 5);
    const exact = denseOperator(a.matrix);
    const rough = denseOperator(a.matrix, (value) => Math.round(value * 1e3) / 1e3);
    const operator: Operator = {
      size: 40,
      multiply: (vectors, count) => (exact.products++ < 20 ? rough : exact).multiply(vectors, count),
    };
    const v = Float64Array.from(normals(2 * 40, 6));
    const solution = await conjugateGradient(operator, v, { ...defaults, block });
    expect(solution.columns).toEqual(['converged', 'converged']);
    for (let k = 0; k < 2; k += 1)
      expect(
        relativeError(times(a.matrix, columnOf(solution.solutions, k, 40)), columnOf(v, k, 40)),
      ).toBeLessThan(1.01e-8);
  });

  it('conjugateGradient: an operator that goes bad does not spoil the answer seen before', async () => {
    const a = turned(spread(60, 1e4), 7);
    const operator = denseOperator(a.matrix);
    // After the first check (at iteration 50) products are rounded to 1e-2.
    const bad: Operator = {
      size: 60,
      async multiply(vectors, count) {
        const product = await operator.multiply(vectors, count);
        return operator.products > 51 ? product.map((value) => Math.round(value * 100) / 100) : product;
      },
    };
    const v = Float64Array.from(normals(60, 8));
    const solution = await conjugateGradient(bad, v, { ...defaults, tolerance: 1e-12, block });
    expect(solution.status).toBe('precision-limited');
    const alone = await conjugateGradient(denseOperator(a.matrix), v, {
      ...defaults,
      tolerance: 1e-12,
      iterations: 50,
      block,
    });
    expect(solution.trueResiduals[0]).toBeLessThanOrEqual(alone.trueResiduals[0]! * (1 + 1e-9));
  });

  it.each([1e2, 1e4, 1e6])(
    'conjugateGradient: float32 products, condition %d: it stops at the floor and says where that is',
    async (condition) => {
      const size = 60;
      const a = turned(spread(size, condition), 9);
      const v = Float64Array.from(normals(2 * size, 10));
      const operator = denseOperator(a.matrix, Math.fround);
      const solution = await conjugateGradient(operator, v, { ...defaults, tolerance: 1e-12, block });
      expect(solution.columns).toEqual(['precision-limited', 'precision-limited']);
      for (let k = 0; k < 2; k += 1) {
        const [s, vk] = [columnOf(solution.solutions, k, size), columnOf(v, k, size)];
        // What rounding x and Ax to float32 leaves open: 6e-8·‖A‖‖x‖ of each.
        const floor = (2 * 6e-8 * condition * Math.hypot(...s)) / Math.hypot(...vk);
        const there = relativeError(times(a.matrix, s), vk);
        expect(Math.abs(there - solution.trueResiduals[k]!)).toBeLessThan(floor);
        expect(there).toBeLessThan(10 * floor);
      }
      expect(solution.advice).toContain('where the products’ precision ends'.replace('’', "'"));
    },
  );

  it('conjugateGradient: a preconditioner that is the inverse leaves one iteration to do', async () => {
    const values = spread(30, 1e6);
    const preconditioner = {
      apply: (residuals: readonly Float64Array[], into: readonly Float64Array[]) =>
        residuals.forEach((r, k) => values.forEach((value, i) => (into[k]![i] = r[i]! / value))),
    };
    const v = Float64Array.from(normals(3 * 30, 11));
    const options = { ...defaults, preconditioner, block };
    const solution = await conjugateGradient(denseOperator(diagonal(values)), v, options);
    expect(solution).toMatchObject({ status: 'converged', iterations: 1, products: 2 });
  });

  it('conjugateGradient: for any matrix, block and preconditioner the residual told is the residual there is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          size: fc.integer({ min: 1, max: 12 }),
          condition: fc.integer({ min: 1, max: 1e6 }),
          count: fc.integer({ min: 1, max: 5 }),
          rank: fc.integer({ min: 1, max: 3 }),
          seed: fc.nat(1e6),
          damping: fc.constantFrom(0, 0.01, 1),
          iterations: fc.integer({ min: 0, max: 60 }),
          tolerance: fc.constantFrom(1e-2, 1e-6, 1e-12),
          float32: fc.boolean(),
          preconditioned: fc.boolean(),
        }),
        async ({ size, condition, count, rank, seed, float32, preconditioned, ...options }) => {
          const { matrix } = turned(spread(size, condition), seed);
          const v = dependent(size, count, rank, seed + 9, 1e-6);
          const preconditioner = {
            apply: (residuals: readonly Float64Array[], into: readonly Float64Array[]) =>
              residuals.forEach((r, k) =>
                r.forEach((value, i) => (into[k]![i] = value / (matrix[i]![i]! + options.damping))),
              ),
          };
          const operator = denseOperator(matrix, float32 ? Math.fround : undefined);
          const solution = await conjugateGradient(operator, v, {
            ...options,
            block,
            ...(preconditioned && { preconditioner }),
          });
          const damped = shifted(matrix, options.damping);
          for (let k = 0; k < count; k += 1) {
            const [s, vk] = [columnOf(solution.solutions, k, size), columnOf(v, k, size)];
            const promised = solution.trueResiduals[k]!;
            const epsilon = (float32 ? 2e-7 : 5e-15) * condition * 12;
            const rounding = (epsilon * Math.hypot(...s)) / Math.hypot(...vk);
            expect(Math.abs(relativeError(times(damped, s), vk) - promised)).toBeLessThanOrEqual(rounding);
            if (solution.columns[k] === 'converged') expect(promised).toBeLessThanOrEqual(options.tolerance);
            else expect(promised).toBeGreaterThan(options.tolerance);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('block conjugate gradients', () => {
  const products = async (values: number[], count: number, block: boolean) => {
    const v = Float64Array.from(normals(count * values.length, 13));
    const options = { ...defaults, block };
    return (await conjugateGradient(denseOperator(turned(values, 12).matrix), v, options)).products;
  };

  it('conjugateGradient, block: outliers are met by all directions together, in far fewer passes', async () => {
    const values = withOutliers(100, 12, 1e6);
    expect(await products(values, 8, true)).toBeLessThan(0.5 * (await products(values, 8, false)));
  });

  it('conjugateGradient, block: never more than size/K passes and a few, without rounding', async () => {
    expect(await products(spread(60, 1e3), 10, true)).toBeLessThanOrEqual(60 / 10 + 2);
  });

  it('conjugateGradient, block: dependent right-hand sides cost no more than those that span them', async () => {
    const operator = denseOperator(turned(spread(40, 100), 14).matrix);
    const v = dependent(40, 9, 2, 15);
    const { iterations } = await conjugateGradient(operator, v, { ...defaults, block: true });
    // Two directions an iteration, and nine answers in the last check.
    expect(operator.vectors).toBeLessThanOrEqual(2 * iterations + 9);
  });
});

describe('drive', () => {
  it('drive: a recursion that gets nowhere ends as stagnated', async () => {
    const { columns } = await drive(
      denseOperator(diagonal([1, 2])),
      Float64Array.of(1, 1),
      { damping: 0, tolerance: 1e-3, iterations: 1e5 },
      (open) =>
        open.map((column) => {
          const idle = { directions: column.r.slice(), step: () => {} };
          column.owner = idle;
          return idle;
        }),
    );
    expect(columns[0]).toMatchObject({ status: 'stagnated', trueResidual: 1 });
  });
});
