import { describe, expect, it } from '@jest/globals';
import { chooseMethod } from '../../coordinator/requests/choose-method.js';

describe('chooseMethod', () => {
  it.each([
    // p, K, tolerance: CG's estimate is K·(5·digits + 1) products.
    [26, 1, 1e-5, 'direct'],
    [27, 1, 1e-5, 'cg'],
    [7850, 1, 1e-5, 'cg'],
    [7850, 100, 1e-5, 'cg'],
    [7850, 400, 1e-5, 'direct'],
    [7850, 260, 1e-6, 'direct'],
    [8192, 4096, 1e-3, 'direct'],
    [8193, 4096, 1e-3, 'cg'],
  ])('chooseMethod: p = %d, K = %d, tolerance %d is for %s', (size, count, tolerance, name) => {
    const { method, why } = chooseMethod(size, count, tolerance);
    expect(method).toMatchObject({ name, tolerance });
    expect(why).toContain(String(size));
  });

  it('chooseMethod: an indefinite H ends neither method', () => {
    expect(chooseMethod(1e6, 1, 1e-5).method).toMatchObject({ name: 'cg', onIndefinite: 'minres' });
  });
});
