import { describe, expect, it } from '@jest/globals';
import { isExceeded, type Row } from './measure.js';

describe('isExceeded', () => {
  const row: Row = { engine: 'cpu', kind: 'kernel', name: 'Log1p', gradient: 1e-6, tolerance: 5e-6 };

  it('isExceeded: one figure past the tolerance, or that is no number, is enough', () => {
    expect(isExceeded(row)).toBe(false);
    expect(isExceeded({ ...row, hessian: 5e-6 })).toBe(true);
    expect(isExceeded({ ...row, gaussNewton: NaN })).toBe(true);
  });

  it('isExceeded: a kernel that no case runs', () => {
    expect(isExceeded({ engine: 'cpu', kind: 'kernel', name: 'Log1p', tolerance: 5e-6 })).toBe(true);
  });
});
