import { describe, expect, it } from '@jest/globals';
import { dropUseless, residualsOf } from '../../../coordinator/solvers/damped.js';
import { denseOperator } from '../../support/dense.js';

describe('dropUseless', () => {
  it('dropUseless: answers with a residual of 1 or more, or none at all, become zero and their residual 1', async () => {
    // diag(1, 0): nothing reaches the second axis, and what was "divided" by its rounding error is far off.
    const operator = denseOperator([
      [1, 0],
      [0, 0],
    ]);
    const rightHandSides = Float64Array.from([1, 0, 1, 1, 1, 0, 0, 1]);
    const solutions = Float64Array.from([1, 0, 1, 1e9, -1, 1e9, NaN, NaN]);
    const { relative } = await residualsOf(operator, rightHandSides, solutions, 4);
    expect(relative).toEqual([0, 1 / Math.SQRT2, 2, NaN]);
    dropUseless(solutions, relative, 2);
    expect([...solutions]).toEqual([1, 0, 1, 1e9, 0, 0, 0, 0]);
    expect(relative).toEqual([0, 1 / Math.SQRT2, 1, 1]);
  });
});
