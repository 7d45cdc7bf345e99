import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readMnist } from '../../datasets/read-mnist.js';
import { fromMemory } from '../../datasets/synthetic.js';
import type { RequestInput } from '../../protocol/requests.js';
import { relativeError } from '../support/dense.js';
import { TestFarm } from '../support/farm.js';

/*
 * Logistic regression of MNIST's test digits 1 against 3 (2,145 rows, p = 785, l2 = 0.02), as trained here: every method
 * solves the same system. With l2 alone the condition is about λmax/l2, some hundreds.
 */
const width = 784;
const l2 = 0.02;
let farm: TestFarm;
let reference: Float64Array;

beforeAll(async () => {
  farm = await TestFarm.start({ workers: 2 });
  const features: number[][] = [];
  const labels: number[] = [];
  for await (const batch of await readMnist('test'))
    for (let row = 0; row < batch.rows; row++)
      if (batch.labels[row] === 1 || batch.labels[row] === 3) {
        features.push([...batch.features.subarray(row * width, (row + 1) * width)]);
        labels.push(batch.labels[row] === 3 ? 1 : 0);
      }
  const rows = fromMemory(Float32Array.from(features.flat()), Int32Array.from(labels), {
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
const solve = (method: Extract<RequestInput, { type: 'solve' }>['method']) =>
  farm.ask({ type: 'solve', ...problem, rhs, method });

describe('MNIST 1 against 3', () => {
  it('fit: to 1e-6 of the gradient at zero, or to the float32 floor, said so', async () => {
    const { report: zero } = await farm.ask({ type: 'gradient', ...problem });
    const gradientTolerance = 1e-6 * zero.gradientNorm!;
    const fit = { type: 'fit', ...problem, into: 'one-three', gradientTolerance } as const;
    const { report } = await farm.ask(fit);
    expect(['converged', 'precision-limited']).toContain(report.status);
    // Where float32 ends it, gradients are off by some 1e-7 of those of single rows.
    expect(report.gradientNorm).toBeLessThan(report.status === 'converged' ? gradientTolerance : 1e-6);
  });

  it('direct: the reference', async () => {
    const { report, values } = await solve({ name: 'direct' });
    expect(report.status).toBe('converged');
    expect(report.conditionNumber).toBeGreaterThan(10);
    reference = values;
  });

  // What is promised of the residual: CG's tolerance and float32 products; Newton-CG's line search sees f, which float32 knows
  // to 6e-8, and the last decrease of f is of the order of the residual's square: √6e-8.
  it.each([
    ['cg', { name: 'cg', tolerance: 1e-6 }, 5e-6],
    ['block cg', { name: 'cg', tolerance: 1e-6, block: true }, 5e-6],
    ['newton-cg', { name: 'newton-cg' }, 2.5e-4],
    ['auto', { name: 'auto', tolerance: 1e-6 }, 5e-6],
  ] as const)('%s agrees with direct', async (_, method, residual) => {
    const { report, values } = await solve(method);
    for (const { trueResidual } of report.columns!) expect(trueResidual).toBeLessThan(residual);
    // ‖error‖/‖s‖ ≤ κ·residual at the very worst; here it is 20 times the residual at most.
    expect(relativeError(values, reference)).toBeLessThan(20 * residual);
  });

  it('lissa: agrees as far as its standard error says', async () => {
    const { report, values } = await solve({
      name: 'lissa',
      scale: 20,
      batchSize: 65,
      depth: 60,
      samples: 3,
      seed: 1,
    });
    expect(report.status).toBe('completed');
    expect(relativeError(values, reference)).toBeLessThan(0.1);
  });
});
