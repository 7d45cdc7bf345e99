import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readMnist } from '../../datasets/read-mnist.js';
import { fromMemory } from '../../datasets/synthetic.js';
import type { RequestInput } from '../../protocol/requests.js';
import { relativeError } from '../support/dense.js';
import { TestFarm } from '../support/farm.js';

/*
 * Logistic regression of MNIST's test digits 1 against 3 (2,145 rows, p = 785, l2 = 0.02), as trained here: every method
 * solves the same system. The loss is convex and some pixels are black in all rows, so the smallest eigenvalue is l2.
 *
 * Each tolerance is computed from κ, the condition number as `direct` reports it, and
 * from ε = 2⁻²³, the relative error of a float32 product whose vector was rounded to float32 on its way. Beside it stands what is
 * usual here, where that is less.
 */
const width = 784;
const l2 = 0.02;
const epsilon = 2 ** -23;
let farm: TestFarm;
/** The mean of ‖(x, 1)‖ over the rows. */
let rowNorm: number;
/** The answers of `direct`, their residuals, and κ. */
let reference: { columns: Float64Array[]; residuals: number[]; condition: number };

beforeAll(async () => {
  farm = await TestFarm.start({ workers: 2 });
  const features: number[] = [];
  const labels: number[] = [];
  for await (const batch of await readMnist('test'))
    for (let row = 0; row < batch.rows; row++)
      if (batch.labels[row] === 1 || batch.labels[row] === 3) {
        features.push(...batch.features.subarray(row * width, (row + 1) * width));
        labels.push(batch.labels[row] === 3 ? 1 : 0);
      }
  const squares = (row: number) =>
    features.slice(row * width, (row + 1) * width).reduce((sum, x) => sum + x * x, 1);
  rowNorm = labels.reduce((sum, _, row) => sum + Math.sqrt(squares(row)), 0) / labels.length;
  const rows = fromMemory(Float32Array.from(features), Int32Array.from(labels), {
    kind: 'class',
    classes: 2,
  });
  await farm.importRows('one-three', rows, 715);
  const layers = [{ type: 'dense', units: 1, useBias: true, activation: 'linear' } as const];
  const network = { input: { shape: [width] }, layers, loss: 'sigmoidCrossEntropy' as const, l2 };
  await farm.putModel('one-three', network, new Float32Array(width + 1));
});
afterAll(() => farm?.stop());

const problem = { model: 'one-three', dataset: 'one-three' } as const;
const rhs = { kind: 'gradient' as const, dataset: 'one-three', rows: [0, 1, 2] };
const solve = async (method: Extract<RequestInput, { type: 'solve' }>['method']) => {
  const { report, values } = await farm.ask({ type: 'solve', ...problem, rhs, method });
  const columns = rhs.rows.map((_, k) => values.subarray(k * (width + 1), (k + 1) * (width + 1)));
  return { report, columns, residuals: report.columns!.map(({ trueResidual }) => trueResidual!) };
};

describe('MNIST 1 against 3', () => {
  it('fit: to 1e-6 of the gradient at zero, or to the float32 floor, said so', async () => {
    const { report: zero } = await farm.ask({ type: 'gradient', ...problem });
    const gradientTolerance = 1e-6 * zero.gradientNorm!;
    const fit = { type: 'fit', ...problem, into: 'one-three', gradientTolerance } as const;
    const { report } = await farm.ask(fit);
    expect(['converged', 'precision-limited']).toContain(report.status);
    // A row's gradient is (p − y)·(x, 1), p − y at most 1: float32 has it to ε of ‖(x, 1)‖, and their mean to as much again.
    const floor = 2 * epsilon * rowNorm;
    expect(report.gradientNorm).toBeLessThanOrEqual(
      report.status === 'converged' ? gradientTolerance : Math.min(floor, 1e-6),
    );
  });

  it('direct: the reference', async () => {
    const { report, columns, residuals } = await solve({ name: 'direct' });
    expect(report.status).toBe('converged');
    const condition = report.conditionNumber!;
    reference = { columns, residuals, condition };
    // That is κ₁, estimated from below but seldom by a factor of 3. For symmetric matrices κ₂ ≤ κ₁ ≤ p·κ₂, since ‖A‖₂ ≤ ‖A‖₁ ≤ √p·‖A‖₂, and κ₂ = λmax/l2.
    const { report: spectrum } = await farm.ask({ type: 'spectrum', ...problem, largest: 1 });
    const spectral = spectrum.spectrum!.largest![0]!.value / l2;
    expect(condition).toBeGreaterThan(spectral);
    expect(condition).toBeLessThan((width + 1) * spectral);
  });

  /*
   * The residual is what 'converged' promises, or where precision ends it
   * - of CG the products' own error, ε·‖A‖·‖s‖ ≤ ε·κ·‖v‖;
   * - of Newton-CG what its line search sees of f. With e = x − s, f − min f = ½‖e‖²_A and |min f| = ½‖s‖²_A: where float32
   *   shows f to ε, ‖e‖_A is √ε·‖s‖_A, so that the residual is √(κε) at most.
   */
  const tolerance = 1e-6;
  const byProducts = (condition: number) => epsilon * condition;
  const byValues = (condition: number) => Math.sqrt(epsilon * condition);
  it.each([
    ['cg', { name: 'cg', tolerance }, tolerance, byProducts, 5e-6],
    ['block cg', { name: 'cg', tolerance, block: true }, tolerance, byProducts, 5e-6],
    ['newton-cg', { name: 'newton-cg' }, 1e-3, byValues, 2.5e-4],
    ['auto', { name: 'auto', tolerance }, tolerance, byProducts, 5e-6],
  ] as const)('%s agrees with direct', async (_, method, promised, floor, usual) => {
    const { report, columns, residuals } = await solve(method);
    const { condition } = reference;
    for (const [k, column] of columns.entries()) {
      const { status } = report.columns![k]!;
      expect(['converged', 'precision-limited']).toContain(status);
      expect(residuals[k]).toBeLessThan(usual);
      expect(relativeError(column, reference.columns[k]!)).toBeLessThan(20 * usual);
      expect(residuals[k]).toBeLessThanOrEqual(status === 'converged' ? promised : floor(condition));
      // ‖error‖/‖s‖ ≤ κ·residual, of either answer.
      expect(relativeError(column, reference.columns[k]!)).toBeLessThan(
        condition * (residuals[k]! + reference.residuals[k]!),
      );
    }
  });

  it('lissa: agrees as far as its contraction and its standard error say', async () => {
    const scale = 20;
    const { report, columns } = await solve({
      name: 'lissa',
      scale,
      batchSize: 65,
      depth: 60,
      samples: 3,
      seed: 1,
    });
    expect(report.status).toBe('completed');
    // From S = V, so x = v/scale, the mean error is (I − H/scale)^(T + 1)·s after T steps; the samples' spread tells the rest.
    const bias = (1 - l2 / scale) ** (report.lissa!.steps + 1);
    for (const [k, column] of columns.entries())
      expect(relativeError(column, reference.columns[k]!)).toBeLessThan(
        bias + 4 * report.standardErrors![k]!,
      );
    const all = (parts: Float64Array[]) => Float64Array.from(parts.flatMap((part) => [...part]));
    expect(relativeError(all(columns), all(reference.columns))).toBeLessThan(0.1);
  });
});
