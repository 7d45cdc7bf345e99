import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parameterLayout, type Network } from '../../protocol/model.js';
import { normals } from '../support/spectra.js';
import { firstDigits } from '../support/datasets.js';
import { TestFarm } from '../support/farm.js';

const [count, width] = [400, 784];
const dense = (units: number, activation: 'linear' | 'tanh') =>
  ({ type: 'dense', units, useBias: true, activation }) as const;
const network = (layers: Network['layers']): Network => ({
  ...{ input: { shape: [width] }, layers, loss: 'softmaxCrossEntropy', l2: 0.01 },
});

let farm: TestFarm;
beforeAll(async () => {
  farm = await TestFarm.start({ workers: 1 });
  await farm.importRows('digits', await firstDigits(count), 200);
});
afterAll(() => farm.stop());

/** ‖∇f‖ and f at a model's parameters, by a job of its own. */
async function slope(model: string) {
  const { report, values } = await farm.ask({ type: 'gradient', model, dataset: 'digits' });
  return { norm: Math.hypot(...values), loss: report.loss! };
}

describe('fit', () => {
  it.each([
    { name: 'softmax', layers: [dense(10, 'linear')], spread: 0, factor: 1e-6 },
    { name: 'mlp', layers: [dense(8, 'tanh'), dense(10, 'linear')], spread: 0.05, factor: 1e-4 },
  ])('$name on digits: a stationary point, to $factor of the gradient at the start', async (each) => {
    const model = network(each.layers);
    const p = parameterLayout(model).count;
    await farm.putModel(
      each.name,
      model,
      normals(p, 3).map((value) => each.spread * value),
    );
    const before = await slope(each.name);
    const gradientTolerance = each.factor * before.norm;
    const into = `${each.name}-fitted`;
    const { report } = await farm.ask({
      type: 'fit',
      model: each.name,
      dataset: 'digits',
      into,
      gradientTolerance,
      maxIterations: 100,
    });
    const after = await slope(into);
    expect(report.status).toBe('converged');
    expect(after.norm).toBeLessThanOrEqual(gradientTolerance * 1.01);
    expect(after.loss).toBeLessThan(before.loss);
  });
});
