import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { newtonCg, type NewtonCgColumn } from '../../../coordinator/solvers/newton-cg.js';
import type { Operator } from '../../../coordinator/solvers/types.js';
import {
  denseOperator,
  relativeError,
  shifted,
  solveDense,
  times,
  type Matrix,
} from '../../support/dense.js';
import { families, normals, spread, turned } from '../../support/spectra.js';

interface Fixture {
  name: string;
  hessian: Matrix;
  v: number[];
  x: number[];
  iterations: number;
  evaluations: NewtonCgColumn['evaluations'];
}
// Written by test/fixtures/newton_cg.py with SciPy.
const { problems } = JSON.parse(readFileSync('test/fixtures/newton_cg.json', 'utf8')) as {
  problems: Fixture[];
};
const defaults = { damping: 0, averageTolerance: 1e-8, iterations: 100 };
const toy = [
  [8 / 9, 4 / 3],
  [4 / 3, 8],
];

describe('newtonCg', () => {
  it.each(problems)("newtonCg: $name in SciPy's iterations and evaluations", async (problem) => {
    const { hessian, v, x, iterations, evaluations } = problem;
    const solution = await newtonCg(denseOperator(hessian), Float64Array.from(v), defaults);
    expect(solution.status).toBe('converged');
    expect(solution.iterations).toBe(iterations);
    const { hessian: products, ...points } = solution.runs[0]!.evaluations;
    expect(points).toEqual({ function: evaluations.function, gradient: evaluations.gradient });
    // On the toy ∇f ends as exactly 0 here, and as a rounding error in SciPy, which looks for a last direction.
    expect(products).toBe(problem.name === 'the toy' ? evaluations.hessian - 1 : evaluations.hessian);
    // Both stop at a mean change of 1e-8, having converged faster than linearly: they agree far beyond it.
    expect(relativeError(solution.solutions, x)).toBeLessThan(1e-9);
    // p·1e-8·‖H‖/‖v‖, with room for p = 20.
    expect(solution.trueResiduals[0]).toBeLessThan(1e-7);
  });

  it("newtonCg: the notebook's toy is (1.25, −0.08333)", async () => {
    const solution = await newtonCg(denseOperator(toy), Float64Array.of(1, 1), defaults);
    expect(solution.solutions[0]).toBeCloseTo(1.25, 8);
    expect(solution.solutions[1]).toBeCloseTo(-1 / 12, 8);
    expect(solution.residualHistory).toHaveLength(solution.iterations + 1);
  });

  it('newtonCg: right-hand sides share passes, and each goes as it would alone', async () => {
    const { hessian } = problems.at(-1)!;
    const size = hessian.length;
    const vs = [1, 2, 3].map((seed) => Float64Array.from(normals(size, seed)));
    const operator = denseOperator(hessian);
    const together = await newtonCg(operator, Float64Array.from(vs.flatMap((v) => [...v])), defaults);
    expect(operator.products).toBe(together.products);
    let separately = 0;
    let longest = 0;
    for (const [k, v] of vs.entries()) {
      const alone = await newtonCg(denseOperator(hessian), v, defaults);
      expect(alone.solutions).toEqual(together.solutions.slice(k * size, (k + 1) * size));
      expect(alone.runs[0]!.evaluations).toEqual(together.runs[k]!.evaluations);
      separately += alone.products;
      longest = Math.max(longest, alone.products);
    }
    expect(together.products).toBe(longest);
    expect(together.products).toBeLessThan(separately);
    expect(operator.vectors).toBe(separately);
  });

  it.each(families.filter(({ name, definite }) => definite && !/1e[5-8]/.test(name)))(
    'newtonCg: $name, by its known spectrum',
    async ({ values }) => {
      const { matrix } = turned(values, 3);
      const v = Float64Array.from(normals(values.length, 4));
      const { solutions, trueResiduals } = await newtonCg(denseOperator(matrix), v, defaults);
      const condition = Math.max(...values) / Math.min(...values);
      const expected = solveDense(matrix, v);
      // ‖error‖/‖s‖ ≤ κ·residual; a mean change of 1e-8 leaves a residual of about p·1e-8·‖A‖/‖v‖ at most.
      expect(relativeError(solutions, expected)).toBeLessThan(Math.max(condition * 1e-10, 1e-6));
      expect(relativeError(times(matrix, solutions), v)).toBeCloseTo(trueResiduals[0]!, 9);
    },
  );

  it('newtonCg: an indefinite matrix has no minimum: never worse than zero, true residuals, advice', async () => {
    const { matrix } = turned([-0.5, ...spread(9, 100)], 2);
    const block = Float64Array.from([1, 2, 3].flatMap((seed) => normals(10, seed)));
    const solution = await newtonCg(denseOperator(matrix), block, defaults);
    expect(solution.columns).toEqual(['indefinite', 'indefinite', 'indefinite']);
    expect(solution.advice).toMatch(/raise the damping/);
    for (const [k, promised] of solution.trueResiduals.entries()) {
      const [s, v] = [solution.solutions, block].map((rows) => rows.subarray(k * 10, (k + 1) * 10));
      expect(promised).toBeLessThanOrEqual(1);
      expect(relativeError(times(matrix, s!), v!)).toBeCloseTo(promised, 12);
      if (promised === 1) expect([...s!]).toEqual(new Array<number>(10).fill(0));
    }
    // x = v, where the runs begin, is far worse than zero: some must have ended before they got below it.
    expect(solution.trueResiduals).toContain(1);
    expect(solution.advice).toContain('no better than s = 0');
  });

  it.each([1e-7, 1e-9, 1e-12])(
    "newtonCg: a v of size %d, to which SciPy's rule is blind, is not called converged",
    async (scale) => {
      const { matrix } = turned(spread(40, 100), 3);
      const v = Float64Array.from(normals(40, 1), (value) => scale * value);
      const solution = await newtonCg(denseOperator(matrix), v, defaults);
      expect(solution.runs[0]!.status).toBe('converged');
      expect(solution.status).toBe('stagnated');
      expect(solution.trueResiduals[0]).toBeGreaterThan(1e-3);
      expect(solution.trueResiduals[0]).toBeLessThanOrEqual(1);
      expect(relativeError(times(matrix, solution.solutions), v)).toBeCloseTo(solution.trueResiduals[0]!, 12);
      expect(solution.advice).toContain('scale v up');
      // The advice holds: for v of ordinary size the same rule does end at the solution.
      const larger = await newtonCg(denseOperator(matrix), Float64Array.from(normals(40, 1)), defaults);
      expect(larger.status).toBe('converged');
      expect(larger.trueResiduals[0]).toBeLessThan(1e-6);
    },
  );

  it('newtonCg: condition 1e8 with float32 products is not called converged, and what the advice says helps', async () => {
    const { matrix } = turned(spread(40, 1e8), 3);
    const v = Float64Array.from(normals(40, 4));
    const solve = (options: object) =>
      newtonCg(denseOperator(matrix, Math.fround), v, { ...defaults, ...options });
    const solution = await solve({});
    expect(solution.runs[0]!.status).toBe('converged');
    expect(solution.status).toBe('stagnated');
    expect(relativeError(times(matrix, solution.solutions), v)).toBeGreaterThan(1e-3);
    expect(solution.advice).toMatch(/lower --average-tolerance .* raise the damping/);
    // Condition 1e4, of which float32 products leave some 1e-3.
    const damped = await solve({ damping: 1e4 });
    expect(damped.status).not.toBe('stagnated');
    expect(damped.trueResiduals[0]).toBeLessThan(1e-3);
    // No change of x is too small: the products' rounding ends it, and the status says so.
    expect((await solve({ averageTolerance: 1e-12 })).status).toBe('precision-limited');
  });

  it.each([NaN, Infinity, -Infinity])(
    'newtonCg: products of %d are diverged, and zero is the answer',
    async (bad) => {
      for (const from of [1, 2, 5]) {
        const exact = denseOperator(toy);
        const failing: Operator = {
          size: 2,
          multiply: async (block, count) =>
            (await exact.multiply(block, count)).map((value) => (exact.products < from ? value : bad)),
        };
        const progress: number[] = [];
        const solution = await newtonCg(failing, Float64Array.of(1, 1), {
          ...defaults,
          onProgress: ({ worst }) => progress.push(worst),
        });
        expect(solution).toMatchObject({ status: 'diverged', trueResiduals: [1] });
        expect([...solution.solutions]).toEqual([0, 0]);
        expect([...solution.residualHistory, ...progress].every(Number.isFinite)).toBe(true);
        expect(solution.advice).toContain('not finite');
      }
    },
  );

  it('newtonCg: float32 products end at their precision, and the residual says so', async () => {
    const { matrix } = turned(spread(20, 1e3), 8);
    const v = Float64Array.from(normals(20, 2));
    const solution = await newtonCg(denseOperator(matrix, Math.fround), v, defaults);
    expect(['converged', 'precision-limited']).toContain(solution.status);
    // κ·6e-8, and what the line search loses in f, which is off by 6e-8 of itself.
    expect(solution.trueResiduals[0]).toBeLessThan(1e-3);
    expect(relativeError(times(matrix, solution.solutions), v)).toBeLessThan(
      2 * solution.trueResiduals[0]! + 1e-4,
    );
  });

  it('newtonCg: the residual promised is the true one, damping included', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 0, max: 1000 }),
        fc.double({ min: 0, max: 2, noNaN: true }),
        async (size, seed, damping) => {
          const { matrix } = turned(spread(size, 50), seed);
          const v = Float64Array.from(normals(size, seed + 1));
          const solution = await newtonCg(denseOperator(matrix), v, { ...defaults, damping });
          // SciPy's criterion may ask for a last step that no longer lowers f by as much as float64 shows.
          expect(['converged', 'precision-limited']).toContain(solution.status);
          expect(solution.trueResiduals[0]).toBeLessThan(1e-6);
          const promised = solution.trueResiduals[0]!;
          expect(relativeError(times(shifted(matrix, damping), solution.solutions), v)).toBeCloseTo(
            promised,
            12,
          );
        },
      ),
      { numRuns: 50, seed: 1 },
    );
  });

  it('newtonCg: a limit of iterations, a zero right-hand side and an abort are told', async () => {
    const limited = await newtonCg(denseOperator(toy), Float64Array.of(1, 1), { ...defaults, iterations: 1 });
    expect(limited).toMatchObject({ status: 'iteration-limit', iterations: 1 });
    const zero = await newtonCg(denseOperator(toy), new Float64Array(2), defaults);
    expect(zero).toMatchObject({ status: 'converged', trueResiduals: [0] });
    const reason = new Error('cancelled by the user');
    const signal = AbortSignal.abort(reason);
    await expect(newtonCg(denseOperator(toy), Float64Array.of(1, 1), { ...defaults, signal })).rejects.toBe(
      reason,
    );
  });
});
