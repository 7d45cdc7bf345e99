import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { minres } from '../../../coordinator/solvers/minres.js';
import { denseOperator, diagonal, relativeError, shifted, times } from '../../support/dense.js';
import { dependent, families, indefinite, normals, singular, turned } from '../../support/spectra.js';

const defaults = { damping: 0, tolerance: 1e-9, iterations: 5000 };
const columnOf = (block: Float64Array, k: number, size: number) => block.subarray(k * size, (k + 1) * size);
const inverse = (value: number) => 1 / value;
/** The pseudo-inverse's: zero where the eigenvalue is. */
const pseudoInverse = (value: number) => (value === 0 ? 0 : 1 / value);

interface ScipyProblem {
  size: number;
  shift: number;
  x: number[];
  residuals: number[];
}
// Written by test/fixtures/minres.py with SciPy.
const scipy = (JSON.parse(readFileSync('test/fixtures/minres.json', 'utf8')) as { problems: ScipyProblem[] })
  .problems;

describe('minres', () => {
  it.each(scipy)(
    'minres: SciPy’s residuals on $size equations, shift $shift',
    async ({ size, shift, x, residuals }) => {
      const matrix = Array.from({ length: size }, (_, i) =>
        Array.from({ length: size }, (_, j) => Math.cos((i + 1) * (j + 1)) + (i === j ? shift : 0)),
      );
      const v = new Float64Array(size).fill(1);
      const solution = await minres(denseOperator(matrix), v, { ...defaults, tolerance: 1e-10 });
      // The iterates are unique; rounding parts two programs where Lanczos vectors lose their orthogonality, beyond ten or so.
      for (const [i, residual] of residuals.slice(0, 10).entries())
        if (residual > 1e-9) expect(Math.abs(solution.residualHistory[i]! / residual - 1)).toBeLessThan(1e-6);
      // Either is within 1e-8 of the solution: SciPy's residual is at most 2.3e-9, the least eigenvalue 0.05.
      expect(relativeError(solution.solutions, x)).toBeLessThan(1e-7);
    },
  );

  it('minres: solves the tridiagonal example of three unknowns in three products', async () => {
    const matrix = [
      [4, 1, 0],
      [1, 3, 1],
      [0, 1, 2],
    ];
    const solution = await minres(denseOperator(matrix), Float64Array.of(1, 2, 3), defaults);
    expect(solution).toMatchObject({ status: 'converged', iterations: 3, products: 4 });
    expect(relativeError(solution.solutions, [4 / 18, 2 / 18, 26 / 18])).toBeLessThan(1e-13);
  });

  it.each(families.filter(({ values }) => values.every((value) => value !== 0 && Math.abs(value) <= 1e4)))(
    'minres: $name: the answer is A⁻¹v',
    async ({ values }) => {
      const a = turned(values, 1);
      const v = dependent(40, 4, 2, 2);
      const solution = await minres(denseOperator(a.matrix), v, defaults);
      expect(solution.columns).toEqual(new Array(4).fill('converged'));
      const sizes = values.map(Math.abs);
      for (let k = 0; k < 4; k += 1)
        expect(
          relativeError(columnOf(solution.solutions, k, 40), a.apply(inverse, columnOf(v, k, 40))),
        ).toBeLessThan((1.1e-9 * Math.max(...sizes)) / Math.min(...sizes));
    },
  );

  it('minres: the residual never grows', async () => {
    const a = turned(indefinite(40, 100, 15), 3);
    const { residualHistory } = await minres(
      denseOperator(a.matrix),
      Float64Array.from(normals(40, 4)),
      defaults,
    );
    for (let i = 1; i < residualHistory.length; i += 1)
      expect(residualHistory[i]).toBeLessThanOrEqual(residualHistory[i - 1]! * (1 + 1e-12));
  });

  it('minres: a right-hand side in the range of a singular matrix gets the shortest solution', async () => {
    const a = turned(singular(40, 100, 25), 5);
    const v = Float64Array.from(a.apply((value) => value, normals(40, 6)));
    const solution = await minres(denseOperator(a.matrix), v, defaults);
    expect(solution.status).toBe('converged');
    expect(relativeError(solution.solutions, a.apply(pseudoInverse, v))).toBeLessThan(100 * 1.1e-9);
  });

  it('minres: one outside the range gets the shortest of the least-squares solutions, and is told so', async () => {
    const a = turned(singular(40, 100, 25), 7);
    const v = Float64Array.from(normals(40, 8));
    const solution = await minres(denseOperator(a.matrix), v, defaults);
    expect(solution.status).toBe('least-squares');
    // ‖A·error‖ = ‖Ar‖ or less, and ‖Ar‖ ≤ 1e-6·‖A‖‖r‖ where it stops; the condition is 100.
    expect(relativeError(solution.solutions, a.apply(pseudoInverse, v))).toBeLessThan(1e-6 * 100 * 100);
    const outside = a.apply((value) => (value === 0 ? 1 : 0), v);
    expect(solution.trueResiduals[0]).toBeCloseTo(Math.hypot(...outside) / Math.hypot(...v), 6);
    expect(solution.advice).toContain('singular within rounding');
  });

  it('minres: a right-hand side in the null space has the answer zero', async () => {
    const solution = await minres(denseOperator(diagonal([1, 2, 0])), Float64Array.of(0, 0, 3), defaults);
    expect(solution).toMatchObject({ status: 'least-squares', trueResiduals: [1] });
    expect([...solution.solutions]).toEqual([0, 0, 0]);
  });

  it('minres: float32 products of an indefinite matrix: it stops at the floor and says where that is', async () => {
    const a = turned(indefinite(60, 1e3, 20), 9);
    const v = Float64Array.from(normals(60, 10));
    const operator = denseOperator(a.matrix, Math.fround);
    const solution = await minres(operator, v, { ...defaults, tolerance: 1e-12 });
    expect(solution.status).toBe('precision-limited');
    const floor = (2 * 6e-8 * 1e3 * Math.hypot(...solution.solutions)) / Math.hypot(...v);
    const there = relativeError(times(a.matrix, solution.solutions), v);
    expect(Math.abs(there - solution.trueResiduals[0]!)).toBeLessThan(floor);
    expect(there).toBeLessThan(10 * floor);
  });

  it('minres: numbers that are not finite never reach the answer', async () => {
    const bad = { size: 2, multiply: () => Promise.resolve(Float64Array.of(NaN, 1)) };
    const solution = await minres(bad, Float64Array.of(1, 2), defaults);
    expect(solution.status).toBe('diverged');
    expect([...solution.solutions].every(Number.isFinite)).toBe(true);
  });

  it('minres: for any symmetric matrix the residual told is the residual there is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          values: fc.array(fc.constantFrom(-10, -3, -0.5, 0, 0.1, 1, 2, 7, 50), {
            minLength: 1,
            maxLength: 12,
          }),
          count: fc.integer({ min: 1, max: 3 }),
          seed: fc.nat(1e6),
          damping: fc.constantFrom(0, 0.25),
          iterations: fc.integer({ min: 0, max: 40 }),
          tolerance: fc.constantFrom(1e-2, 1e-6, 1e-12),
          float32: fc.boolean(),
        }),
        async ({ values, count, seed, float32, ...options }) => {
          const size = values.length;
          const { matrix } = turned(values, seed);
          const v = Float64Array.from(normals(count * size, seed + 1));
          const operator = denseOperator(matrix, float32 ? Math.fround : undefined);
          const solution = await minres(operator, v, options);
          const damped = shifted(matrix, options.damping);
          for (let k = 0; k < count; k += 1) {
            const [s, vk] = [columnOf(solution.solutions, k, size), columnOf(v, k, size)];
            const promised = solution.trueResiduals[k]!;
            // A product is off by ε‖H‖‖s‖, ε of the operator's precision; sums of 12 terms.
            const rounding = ((float32 ? 2e-7 : 5e-15) * 50 * 12 * Math.hypot(...s)) / Math.hypot(...vk);
            expect(Math.abs(relativeError(times(damped, s), vk) - promised)).toBeLessThanOrEqual(
              rounding + 1e-15,
            );
            // Least residual: never above that of the answer zero.
            expect(promised).toBeLessThanOrEqual(1 + rounding + 1e-15);
            if (solution.columns[k] === 'converged') expect(promised).toBeLessThanOrEqual(options.tolerance);
            else expect(promised).toBeGreaterThan(options.tolerance);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});
