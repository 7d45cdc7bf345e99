import { describe, expect, it } from '@jest/globals';
import { cholesky } from '../../../coordinator/dense/cholesky.js';
import { lu } from '../../../coordinator/dense/lu.js';
import { onnxProduct, plainProduct } from '../../../coordinator/dense/matrix-product.js';
import { relativeError } from '../../support/dense.js';
import { indefinite, normals, spread, turned } from '../../support/spectra.js';

const [m, n, inner] = [5, 3, 7];

describe.each([
  { name: 'onnxruntime', open: onnxProduct },
  { name: 'wasm', open: () => Promise.resolve(plainProduct) },
])('A·Bᵀ by $name', ({ open }) => {
  it('A·Bᵀ: is the sum that defines it', async () => {
    const [a, b] = [Float64Array.from(normals(m * inner, 1)), Float64Array.from(normals(n * inner, 2))];
    const c = await (await open())(a, b, inner);
    const expected = Array.from({ length: m * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      return Array.from({ length: inner }, (_, k) => a[i * inner + k]! * b[j * inner + k]!).reduce(
        (x, y) => x + y,
      );
    });
    expect(relativeError(c, expected)).toBeLessThan(1e-15);
  });

  // Larger than a block of the factorisations, so that the product is used; κ = 1e3, backward stable.
  it.each([
    { factorise: cholesky, values: spread(200, 1e3) },
    { factorise: lu, values: indefinite(200, 1e3, 60) },
  ])('$factorise.name: solves with it', async ({ factorise, values }) => {
    const known = turned(values, 3);
    const v = Float64Array.from(normals(200, 4));
    const factor = await factorise(Float64Array.from(known.matrix.flat()), 200, await open());
    expect(
      relativeError(
        await factor!.solve(v, 1),
        known.apply((value) => 1 / value, v),
      ),
    ).toBeLessThan(1e-11);
  });
});
