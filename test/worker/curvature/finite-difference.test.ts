import { expect, it } from '@jest/globals';
import type { Network } from '../../../protocol/model.js';
import { finiteDifference } from '../../../worker/curvature/finite-difference.js';
import { openEngine } from '../../../worker/engines/select.js';
import { describeEngines } from '../../support/describe-engines.js';
import { referenceHvp, relativeError } from '../../support/reference.js';
import { randomProblem } from './problem.js';

describeEngines('finiteDifference on %s', (name) => {
  it('gives the two-weight example of the notebook with its step of 1e-2', async () => {
    const { engine } = await openEngine(name);
    const layer = { type: 'dense', units: 1, useBias: false, activation: 'linear' } as const;
    const network: Network = { input: { shape: [1] }, layers: [layer, layer], loss: 'squaredError', l2: 0 };
    const batch = { rows: 1, features: Float32Array.of(2), labels: Float32Array.of(1) };
    const theta = Float32Array.of(1, 1 / 3);
    const values = await finiteDifference(engine, network, theta, batch, Float32Array.of(1, 1), 1, 1e-2);
    // The exact product (20/9, 28/3) plus the third-order term 8·r²; a float32 gradient of 4 is known to 2e-7 and
    // divided by 2e-2.
    expect(Math.abs(values[0]! - 2.22302)).toBeLessThan(3e-5);
    expect(Math.abs(values[1]! - 9.33413)).toBeLessThan(3e-5);
  });

  it('is near the float64 product for each of K vectors, and leaves no tensor behind', async () => {
    const { engine } = await openEngine(name);
    const shape = {
      width: 3,
      units: [4, 2],
      activation: 'tanh',
      loss: 'softmaxCrossEntropy',
      useBias: true,
    } as const;
    const { network, parameters, batch, referenceRows, uniform } = randomProblem(shape, 9, 81);
    const p = parameters.length;
    const vectors = uniform(3 * p);
    const before = engine.memory();
    const values = await finiteDifference(engine, network, parameters, batch, vectors, 3, 1e-2);
    expect(engine.memory()).toEqual(before);
    for (const k of [0, 1, 2]) {
      const expected = referenceHvp(network, parameters, referenceRows, vectors.subarray(k * p, (k + 1) * p));
      // Truncation of order r² = 1e-4.
      expect(relativeError(values.subarray(k * p, (k + 1) * p), expected)).toBeLessThan(1e-3);
    }
  });
});
