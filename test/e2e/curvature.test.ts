import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fromMemory } from '../../datasets/synthetic.js';
import type { RequestInput } from '../../protocol/requests.js';
import { relativeError, shifted, solveDense, times, type Matrix } from '../support/dense.js';
import { TestFarm } from '../support/farm.js';
import { referenceGaussNewton, referenceGradient, referenceHvp } from '../support/reference.js';
import { randomProblem } from '../worker/curvature/problem.js';

/* An MLP far from its minimum, whose Hessian is indefinite; 40 rows in 4 leaves of 2 shards, weighted 0 to 3. */
const count = 40;
const l2 = 0.01;
const problem = randomProblem(
  { width: 3, units: [5, 2], activation: 'tanh', loss: 'squaredError', useBias: true },
  count,
  31,
  1.5,
);
const { parameters, referenceRows } = problem;
const network = { ...problem.network, l2, l2Biases: false };
const weights = Float32Array.from({ length: count }, (_, row) => row % 4);
const total = weights.reduce((sum, weight) => sum + weight, 0);
const size = parameters.length;
const weightedRows = referenceRows.map((row, i) => ({ ...row, weight: weights[i]! }));
/** Kernels are regularised; the biases, 5 after 15 kernel values and the last 2, are not. */
const decay = Float64Array.from({ length: size }, (_, i) => ((i >= 15 && i < 20) || i >= size - 2 ? 0 : l2));
const regularised = (matrix: Matrix): Matrix =>
  matrix.map((row, i) => row.map((value, j) => value / total + (i === j ? decay[i]! : 0)));

const base = { model: 'mlp', dataset: 'weighted', leafRows: 10 } as const;
const rhs = { kind: 'ones' } as const;
const ones = new Float64Array(size).fill(1);

let farm: TestFarm;
beforeAll(async () => {
  farm = await TestFarm.start({ workers: 2 });
  const { features, labels } = problem.batch;
  const source = fromMemory(features, labels, { kind: 'real', width: 2 }, { weights });
  await farm.importRows('weighted', source, count / 2);
  await farm.putModel('mlp', network, parameters);
});
afterAll(() => farm.stop());

const failureOf = async (request: RequestInput) =>
  farm.ask(request).then(
    () => undefined,
    (error: unknown) => error,
  );

describe('curvature on a farm', () => {
  it('gradient: the objective is the weighted mean plus l2 of the kernels', async () => {
    const { report, values } = await farm.ask({ type: 'gradient', ...base });
    const sums = referenceGradient(network, parameters, weightedRows);
    const expected = sums.gradient.map((value, i) => value / total + decay[i]! * parameters[i]!);
    const penalty = decay.reduce((sum, value, i) => sum + (value / 2) * parameters[i]! ** 2, 0);
    expect(relativeError(values, expected)).toBeLessThan(5e-6);
    expect(Math.abs(report.loss! - sums.loss / total - penalty)).toBeLessThan(5e-6 * report.loss!);
  });

  it('hvp: the weighted Hessian and Gauss-Newton matrix', async () => {
    const hessian = referenceHvp(network, parameters, weightedRows, ones).map(
      (value, i) => value / total + decay[i]!,
    );
    const exact = await farm.ask({ type: 'hvp', ...base, rhs });
    expect(relativeError(exact.values, hessian)).toBeLessThan(5e-6);
    const hvp = { mode: 'finite-difference', step: 1e-3 } as const;
    const differences = await farm.ask({ type: 'hvp', ...base, rhs, hvp });
    expect(relativeError(differences.values, hessian)).toBeLessThan(1e-3);
    const gaussNewton = regularised(referenceGaussNewton(network, parameters, weightedRows));
    const answer = await farm.ask({ type: 'hvp', ...base, rhs, curvature: 'gauss-newton' });
    expect(relativeError(answer.values, times(gaussNewton, ones))).toBeLessThan(5e-6);
    expect(answer.report.request.curvature).toBe('gauss-newton');
  });

  it('solve: cg meets negative curvature in the Hessian, none in the Gauss-Newton matrix, and solves that', async () => {
    const solve = { type: 'solve', ...base, rhs, damping: 0.05, method: { name: 'cg' } } as const;
    const indefinite = await farm.ask(solve);
    expect(indefinite.report.status).toBe('indefinite');
    expect(indefinite.report.advice).toContain('gauss-newton');
    const { report, values } = await farm.ask({ ...solve, curvature: 'gauss-newton' });
    expect(report.status).toBe('converged');
    const matrix = regularised(referenceGaussNewton(network, parameters, weightedRows));
    // The residual is 1e-5 and the condition number at most λmax/λ, some hundreds.
    expect(relativeError(values, solveDense(shifted(matrix, 0.05), ones))).toBeLessThan(1e-3);
  });

  it('solve: lissa averages to the same answer on weighted rows', async () => {
    const solve = { type: 'solve', ...base, rhs, damping: 1, curvature: 'gauss-newton' } as const;
    const method = { name: 'lissa', scale: 30, batchSize: 20, depth: 60, samples: 2 } as const;
    const { values } = await farm.ask({ ...solve, leafRows: count, method });
    const exact = solveDense(
      shifted(regularised(referenceGaussNewton(network, parameters, weightedRows)), 1),
      ones,
    );
    // A step sees half the rows: what is left, some 0.003, is how much the halves differ. Unweighted means are off by 0.06.
    expect(relativeError(values, exact)).toBeLessThan(0.02);
  });

  it('fit: Gauss-Newton steps go down where the Hessian is indefinite', async () => {
    const { report: start } = await farm.ask({ type: 'gradient', ...base });
    const { report } = await farm.ask({
      type: 'fit',
      ...base,
      curvature: 'gauss-newton',
      into: 'fitted',
      maxIterations: 5,
    });
    expect(report.loss!).toBeLessThan(start.loss! / 2);
    expect((await (await farm.client.models()).get('fitted')).l2Biases).toBe(false);
  });

  it('report: every worker that multiplied checked itself; a gradient needs no check', async () => {
    for (const curvature of ['hessian', 'gauss-newton'] as const) {
      const { report } = await farm.ask({ type: 'hvp', ...base, curvature, rhs });
      expect(report.workers).toHaveLength(2);
      for (const { selfCheck } of report.workers) {
        expect(selfCheck!.rows).toBe(10);
        expect(selfCheck!.symmetry).toBeLessThan(1e-4);
        expect(selfCheck!.differences).toBeLessThan(1e-2);
      }
    }
    const { report } = await farm.ask({ type: 'gradient', ...base });
    expect(report.workers.flatMap(({ selfCheck }) => selfCheck ?? [])).toEqual([]);
  });

  it('submit: finite differences of a Gauss-Newton matrix are refused', async () => {
    const hvp = { mode: 'finite-difference', step: 1e-2 } as const;
    expect(await failureOf({ type: 'hvp', ...base, curvature: 'gauss-newton', hvp, rhs })).toMatchObject({
      code: 'bad-request',
      message: expect.stringContaining('take mode exact'),
    });
  });

  it('hvp: a self-check that fails ends the job with its code', async () => {
    // Outputs are 0, each loss is 1 and its gradient 2e19: finite; the Hessian, 2e38 a row, is past float32.
    const source = fromMemory(new Float32Array(8).fill(1e19), new Float32Array(8).fill(1), {
      kind: 'real',
      width: 1,
    });
    await farm.importRows('huge', source);
    const layers = [{ type: 'dense', units: 1, useBias: false, activation: 'linear' } as const];
    await farm.putModel('zero', { input: { shape: [1] }, layers, loss: 'squaredError', l2: 0 }, [0]);
    expect(await failureOf({ type: 'hvp', model: 'zero', dataset: 'huge', rhs })).toMatchObject({
      code: 'self-check-failed',
    });
  });
});
