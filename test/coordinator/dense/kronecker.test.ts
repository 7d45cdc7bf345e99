import { describe, expect, it } from '@jest/globals';
import { KroneckerInverse } from '../../../coordinator/dense/kronecker-inverse.js';
import { kroneckerPreconditioner } from '../../../coordinator/dense/kronecker.js';
import { onnxProduct, plainProduct } from '../../../coordinator/dense/matrix-product.js';
import { symmetricEigen } from '../../../coordinator/dense/symmetric-eigen.js';
import { relativeError, shifted, solveDense, type Matrix } from '../../support/dense.js';
import { normals, spread, turned } from '../../support/spectra.js';

const damping = 0.1;
/** Two blocks with a parameter before, between and after them, and their factors. */
const shapes = [
  { offset: 1, rows: 4, units: 3, condition: 50, l2: 0.02 },
  { offset: 14, rows: 2, units: 5, condition: 10, l2: 0 },
];
const size = 25;
const blocks = shapes.map(({ offset, rows, units, condition }, at) => {
  const [a, g] = [turned(spread(rows, condition), at + 1).matrix, turned(spread(units, 10), at + 5).matrix];
  return {
    ...{ name: `layer${at}`, offset, rows, units, bias: true, positions: 1, a, g },
    input: symmetricEigen(Float64Array.from(a.flat()), rows),
    output: symmetricEigen(Float64Array.from(g.flat()), units),
  };
});
const l2 = new Float64Array(size).fill(0.3);
shapes.forEach(({ offset, rows, units, l2: own }) => l2.fill(own, offset, offset + rows * units));
const factors = { blocks: blocks.map(({ a: _a, g: _g, ...block }) => block), l2 };

/** θ holds a layer row by row, so that the matrix of (input i, unit j) with (k, l) is A[i][k]·G[j][l]. */
const kronecker = (a: Matrix, g: Matrix): Matrix =>
  a.flatMap((_, i) => g.map((_, j) => a.flatMap((_, k) => g.map((_, l) => a[i]![k]! * g[j]![l]!))));

/** M⁻¹r by the dense matrix. */
function expected(r: Float64Array): number[] {
  const dense = blocks.map(({ a, g }) => kronecker(a, g));
  const diagonal = dense.flatMap((matrix) => matrix.map((row, i) => row[i]!));
  const mean = diagonal.reduce((sum, value) => sum + value, 0) / diagonal.length;
  const z = Array.from(r, (value, i) => value / (mean + l2[i]! + damping));
  shapes.forEach(({ offset, rows, units, l2: own }, at) => {
    const part = solveDense(shifted(dense[at]!, own + damping), r.subarray(offset, offset + rows * units));
    z.splice(offset, part.length, ...part);
  });
  return z;
}

describe.each([
  { name: 'onnxruntime', open: onnxProduct },
  { name: 'wasm', open: () => Promise.resolve(plainProduct) },
])('KroneckerInverse by $name', ({ open }) => {
  it.each([1, 3])('KroneckerInverse: %i vectors times the inverse of A ⊗ G + l2 + λ', async (count) => {
    const inverse = new KroneckerInverse(factors, await open());
    const block = Float64Array.from(normals(count * size, 3));
    const found = await inverse.apply(block, damping);
    for (let k = 0; k < count; k++) {
      const [from, to] = [k * size, (k + 1) * size];
      // Float64, κ(M) ≤ 500: some hundred roundings of 1e-16.
      expect(relativeError(found.subarray(from, to), expected(block.subarray(from, to)))).toBeLessThan(1e-12);
    }
  });
});

describe('kroneckerPreconditioner', () => {
  it('kroneckerPreconditioner: applies it to all residuals, to the same bits again, and leaves them as they are', async () => {
    const preconditioner = kroneckerPreconditioner(factors, new AbortController().signal)(damping);
    const residuals = [1, 2, 3].map((seed) => Float64Array.from(normals(size, seed)));
    const before = residuals.map((residual) => residual.slice());
    const into = residuals.map(() => new Float64Array(size));
    await preconditioner.apply(residuals, into);
    expect(residuals).toEqual(before);
    residuals.forEach((r, k) => expect(relativeError(into[k]!, expected(r))).toBeLessThan(1e-12));
    const again = residuals.map(() => new Float64Array(size));
    await preconditioner.apply(residuals, again);
    expect(again).toEqual(into);
  });

  it('kroneckerPreconditioner: is rejected where the solve is aborted', async () => {
    const abort = new AbortController();
    const preconditioner = kroneckerPreconditioner(factors, abort.signal)(damping);
    abort.abort();
    const r = new Float64Array(size);
    await expect(Promise.resolve(preconditioner.apply([r], [r.slice()]))).rejects.toThrow();
  });

  it('kroneckerPreconditioner: long vectors go in slabs, each as it would alone', async () => {
    const wide = { name: 'wide', offset: 0, rows: 2, units: 2, bias: true, positions: 1 };
    const [a, g] = [
      symmetricEigen(Float64Array.of(2, 1, 1, 2), 2),
      symmetricEigen(Float64Array.of(1, 0, 0, 3), 2),
    ];
    // Two vectors of so many values are more than a slab.
    const long = 600_000;
    const preconditioner = kroneckerPreconditioner(
      { blocks: [{ ...wide, input: a, output: g }], l2: new Float64Array(long) },
      new AbortController().signal,
    )(damping);
    const residuals = [1, 2, 3].map((value) => new Float64Array(long).fill(value));
    const into = residuals.map(() => new Float64Array(long));
    await preconditioner.apply(residuals, into);
    const mean = 4; // tr A · tr G / 4
    for (const [k, z] of into.entries()) {
      const alone = new Float64Array(long);
      await preconditioner.apply([residuals[k]!], [alone]);
      expect(z.every((value, i) => value === alone[i])).toBe(true);
      expect(z.at(-1)).toBe((k + 1) / (mean + damping));
    }
  });
});
