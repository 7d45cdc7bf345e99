import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parameterLayout } from '../../../protocol/model.js';
import { glorotUniformParameters, zeroParameters } from '../../../worker/models/initialise.js';

const dense = (units: number, useBias = true) =>
  ({ type: 'dense', units, useBias, activation: 'tanh' }) as const;
const network = { input: { shape: [200] }, layers: [dense(100), dense(50, false), dense(3)] };

describe('zeroParameters', () => {
  it('zeroParameters: one zero for each parameter', () => {
    const parameters = zeroParameters(network);
    expect(parameters).toHaveLength(200 * 100 + 100 + 100 * 50 + 50 * 3 + 3);
    expect(parameters.every((value) => value === 0)).toBe(true);
  });
});

describe('glorotUniformParameters', () => {
  it('glorotUniformParameters: kernels are uniform in ±√(6/(inputs+units)), biases zero', () => {
    const parameters = glorotUniformParameters(network, 1);
    for (const { shape, offset, size } of parameterLayout(network).slices) {
      const values = [...parameters.subarray(offset, offset + size)];
      const [inputs, units] = shape;
      if (units === undefined) {
        expect(values.every((value) => value === 0)).toBe(true);
        continue;
      }
      const limit = Math.sqrt(6 / (inputs! + units));
      expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(limit);
      // Mean 0 and variance limit²/3 within five standard errors (of the variance: limit²·√(4/45/n)).
      const mean = values.reduce((sum, value) => sum + value, 0) / size;
      const variance = values.reduce((sum, value) => sum + value * value, 0) / size;
      expect(Math.abs(mean)).toBeLessThan((5 * limit) / Math.sqrt(3 * size));
      expect(Math.abs(variance - limit ** 2 / 3)).toBeLessThan(5 * limit ** 2 * Math.sqrt(4 / 45 / size));
    }
  });

  it('glorotUniformParameters: the seed decides the parameters', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), (seed) => {
        const small = { input: { shape: [3] }, layers: [dense(4)] };
        const first = glorotUniformParameters(small, seed);
        expect(glorotUniformParameters(small, seed)).toEqual(first);
        expect(glorotUniformParameters(small, seed ^ 1)).not.toEqual(first);
      }),
    );
  });
});
