import { describe, expect, it } from '@jest/globals';
import { kroneckerPreconditioner } from '../../../coordinator/dense/kronecker.js';
import { symmetricEigen } from '../../../coordinator/dense/symmetric-eigen.js';
import { relativeError, shifted, solveDense } from '../../support/dense.js';
import { normals, spread, turned } from '../../support/spectra.js';

describe('kroneckerPreconditioner', () => {
  it('kroneckerPreconditioner: is the inverse of A ⊗ G + l2 + λ on a block, and of a mean beside it', () => {
    const [rows, units, damping] = [4, 3, 0.1];
    const [a, g] = [turned(spread(rows, 50), 1).matrix, turned(spread(units, 10), 2).matrix];
    const block = {
      ...{ name: 'layer0', offset: 2, rows, units, bias: true },
      input: symmetricEigen(Float64Array.from(a.flat()), rows),
      output: symmetricEigen(Float64Array.from(g.flat()), units),
    };
    const l2 = new Float64Array(2 + rows * units).fill(0.02);
    const r = Float64Array.from(normals(l2.length, 3));
    const into = new Float64Array(l2.length);
    kroneckerPreconditioner([block], l2, damping).apply(r, into);
    // θ holds a layer row by row, so that the matrix of (input i, unit j) with (k, l) is A[i][k]·G[j][l].
    const dense = a.flatMap((_, i) =>
      g.map((_, j) => a.flatMap((_, k) => g.map((_, l) => a[i]![k]! * g[j]![l]!))),
    );
    const expected = solveDense(shifted(dense, 0.12), r.subarray(2));
    expect(relativeError(into.subarray(2), expected)).toBeLessThan(1e-12);
    const mean = dense.reduce((sum, row, i) => sum + row[i]!, 0) / dense.length;
    expect(into[0]).toBeCloseTo(r[0]! / (mean + 0.12), 12);
  });
});
