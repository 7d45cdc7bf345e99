import { describe, expect, it } from '@jest/globals';
import { lissaBatchSize, lissaDepth, lissaScale, roundUp } from '../../../coordinator/solvers/lissa-plan.js';

describe('lissa-plan', () => {
  it('roundUp: two digits, never below but for rounding, and stable under the last bits', () => {
    expect([0.123, 12.01, 99.5, 0.1, 3, 7e-5].map(roundUp)).toEqual([0.13, 13, 100, 0.1, 3, 7e-5]);
    expect(roundUp(2.3 * (1 + 1e-9))).toBe(2.3);
    expect(roundUp(2.3 * (1 - 1e-9))).toBe(2.3);
  });

  it('lissaScale: λ and three deviations above the mean of the minibatches, or λmax itself', () => {
    expect(lissaScale(2, [3, 4, 5], 0.5)).toBe(7.5);
    expect(lissaScale(9, [3, 4, 5], 0.5)).toBe(9.5);
  });

  it('lissaBatchSize: twice the intrinsic dimension of what the rows add, as a power of two in bounds', () => {
    expect(lissaBatchSize(2, 400, 0, 1000, 5000)).toBe(512);
    // l2 alone makes the trace: one row is as good as all.
    expect(lissaBatchSize(2, 100, 0.1, 1000, 5000)).toBe(256);
    expect(lissaBatchSize(0.1, 100, 0, 1000, 5000)).toBe(1024);
    expect(lissaBatchSize(0.1, 100, 0, 1000, 300)).toBe(300);
  });

  it.each([
    [0.02, 3, 0.02, 117],
    [0.5, 1, 1e-3, 4],
    [1e-3, 2, 0.1, 50],
  ])(
    'lissaDepth: floor %d, scale %d: the mean residual over the second half is below %d',
    (floor, scale, tolerance, stepsInPass) => {
      const passes = lissaDepth(floor, scale, tolerance, stepsInPass);
      const steps = passes * stepsInPass;
      const residual = (t: number) => (1 - floor / scale) ** t;
      let mean = 0;
      for (let t = Math.floor(steps / 2); t < steps; t += 1)
        mean += residual(t) / (steps - Math.floor(steps / 2));
      expect(mean).toBeLessThanOrEqual(tolerance);
      expect(passes).toBeLessThan(1000);
    },
  );

  it('lissaDepth: without a floor it is the most passes that there are', () => {
    expect(lissaDepth(0, 3, 0.1, 100)).toBe(1000);
    expect(lissaDepth(1e-12, 3, 0.1, 100)).toBe(1000);
  });
});
