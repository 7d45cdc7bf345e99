import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { symmetricEigen } from '../../../coordinator/dense/symmetric-eigen.js';
import type { PolicyOptions } from '../../../coordinator/solvers/indefinite.js';
import { solveByPolicy } from '../../../coordinator/solvers/indefinite.js';
import { denseOperator, diagonal, relativeError, shifted, times } from '../../support/dense.js';
import { families, indefinite, normals, spread, turned } from '../../support/spectra.js';

const size = 40;
const defaults: PolicyOptions = {
  damping: 0,
  tolerance: 1e-8,
  iterations: 3000,
  onIndefinite: 'fail',
  random: (index) => Float64Array.from(normals(size, 1000 + index)),
  eigensolver: symmetricEigen,
};
const columnOf = (block: Float64Array, k: number) => block.subarray(k * size, (k + 1) * size);
const spectra = families.filter(({ values }) => values.some((value) => value < 0));
const v = Float64Array.from(normals(3 * size, 1));

describe.each([false, true])('solveByPolicy, block: %s', (block) => {
  it.each(spectra)('solveByPolicy, fail: $name: names a λ that does', async ({ values }) => {
    const a = turned(values, 2);
    const options = { ...defaults, block };
    const failed = await solveByPolicy(denseOperator(a.matrix), v, options);
    expect(failed.status).toBe('indefinite');
    const least = Math.min(...values);
    // Ritz values lie above the smallest eigenvalue, and 30 Lanczos steps come near it.
    expect(failed.lowest!.value).toBeGreaterThanOrEqual(least * (1 + 1e-9));
    expect(failed.lowest!.value).toBeLessThan(0.8 * least);
    expect(failed.advice).toContain('gauss-newton');
    const damping = Number(/Use a damping of ([\d.e+-]+);/.exec(failed.advice)?.[1]);
    const solved = await solveByPolicy(denseOperator(a.matrix), v, { ...options, damping });
    expect(solved.status).toBe('converged');
  });

  it.each(spectra)(
    'solveByPolicy, shift: $name: the answer is that of the λ reported',
    async ({ values }) => {
      const a = turned(values, 3);
      const operator = denseOperator(a.matrix);
      const options = { ...defaults, block, damping: 0.01, onIndefinite: 'shift' } as const;
      const solution = await solveByPolicy(operator, v, options);
      expect(solution.status).toBe('converged');
      expect(solution.damping).toBeGreaterThan(-Math.min(...values));
      expect(solution.damping).toBeLessThan(-4 * Math.min(...values));
      expect(solution.advice).toContain('λ was raised');
      for (let k = 0; k < 3; k += 1) {
        const s = columnOf(solution.solutions, k);
        const damped = shifted(a.matrix, solution.damping);
        expect(relativeError(times(damped, s), columnOf(v, k))).toBeLessThan(1.01e-8);
      }
      expect(operator.products).toBe(solution.products);
    },
  );

  it.each(spectra)(
    'solveByPolicy, minres: $name: the answer is that of the indefinite system',
    async ({ values }) => {
      const a = turned(values, 4);
      const operator = denseOperator(a.matrix);
      const solution = await solveByPolicy(operator, v, { ...defaults, block, onIndefinite: 'minres' });
      expect(solution).toMatchObject({ status: 'converged', damping: 0 });
      for (let k = 0; k < 3; k += 1)
        expect(
          relativeError(
            columnOf(solution.solutions, k),
            a.apply((value) => 1 / value, columnOf(v, k)),
          ),
        ).toBeLessThan(1.01e-8 * 200);
      expect(operator.products).toBe(solution.products);
    },
  );
});

describe('solveByPolicy', () => {
  it('solveByPolicy: a definite matrix costs what CG costs, whatever the policy', async () => {
    const { matrix } = turned(spread(size, 100), 5);
    const costs = [];
    for (const onIndefinite of ['fail', 'shift', 'minres'] as const) {
      const solution = await solveByPolicy(denseOperator(matrix), v, { ...defaults, onIndefinite });
      expect(solution).toMatchObject({ status: 'converged', damping: 0 });
      expect(solution.lowest).toBeUndefined();
      costs.push(solution.products);
    }
    expect(new Set(costs).size).toBe(1);
  });

  it('solveByPolicy, shift: H = 0 and H = −I get a λ above zero', async () => {
    const ones = new Float64Array(size).fill(1);
    for (const value of [0, -1]) {
      const operator = denseOperator(diagonal(new Array<number>(size).fill(value)));
      const solution = await solveByPolicy(operator, ones, { ...defaults, onIndefinite: 'shift' });
      expect(solution.status).toBe('converged');
      expect(solution.damping + value).toBeGreaterThan(0);
    }
  });

  it('solveByPolicy, shift: float32 products of a singular matrix end with an answer', async () => {
    const { matrix } = turned([...new Array<number>(10).fill(0), ...spread(30, 1e3)], 6);
    const options = { ...defaults, tolerance: 1e-4, onIndefinite: 'shift' } as const;
    const solution = await solveByPolicy(denseOperator(matrix, Math.fround), v, options);
    for (const [k, status] of solution.columns.entries()) {
      const there = relativeError(
        times(shifted(matrix, solution.damping), columnOf(solution.solutions, k)),
        columnOf(v, k),
      );
      expect(there).toBeCloseTo(solution.trueResiduals[k]!, 4);
      expect(['converged', 'precision-limited', 'iteration-limit']).toContain(status);
    }
  });

  it('solveByPolicy: any indefinite spectrum ends in an answer for the λ told, never in silence', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          negative: fc.integer({ min: 1, max: 39 }),
          condition: fc.constantFrom(2, 30, 1000),
          onIndefinite: fc.constantFrom('shift' as const, 'minres' as const),
          block: fc.boolean(),
          seed: fc.nat(1e6),
        }),
        async ({ negative, condition, seed, ...options }) => {
          const { matrix } = turned(indefinite(size, condition, negative), seed);
          const solution = await solveByPolicy(denseOperator(matrix), v, { ...defaults, ...options });
          expect(solution.status).toBe('converged');
          for (let k = 0; k < 3; k += 1) {
            const damped = shifted(matrix, solution.damping);
            expect(
              relativeError(times(damped, columnOf(solution.solutions, k)), columnOf(v, k)),
            ).toBeLessThan(1.01e-8);
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});
