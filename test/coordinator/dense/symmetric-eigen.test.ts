import { describe, expect, it } from '@jest/globals';
import { symmetricEigen } from '../../../coordinator/dense/symmetric-eigen.js';
import { relativeError, times, withSpectrum } from '../../support/dense.js';
import { reflections } from '../../support/probes.js';

describe('symmetricEigen', () => {
  it('symmetricEigen: the values of a known spectrum, repeated ones too, ascending, with orthonormal vectors', () => {
    const spectrum = [-3, -1e-6, 0, 0.5, 2, 2, 2, 1e4];
    const size = spectrum.length;
    const matrix = withSpectrum(spectrum, reflections(size, 1));
    const { values, vectors } = symmetricEigen(Float64Array.from(matrix.flat()), size);
    // Backward stable: an error of some ε·‖A‖ = 2e-12 in every value.
    spectrum.forEach((value, i) => expect(Math.abs(values[i]! - value)).toBeLessThan(1e-11));
    for (let i = 0; i < size; i++) {
      const x = vectors.subarray(i * size, (i + 1) * size);
      const residual = times(matrix, x).map((ax, j) => ax - values[i]! * x[j]!);
      expect(Math.hypot(...residual)).toBeLessThan(1e-11);
      for (let j = 0; j <= i; j++) {
        const y = vectors.subarray(j * size, (j + 1) * size);
        const product = x.reduce((sum, value, k) => sum + value * y[k]!, 0);
        expect(Math.abs(product - (i === j ? 1 : 0))).toBeLessThan(1e-14 * size);
      }
    }
  });

  it('symmetricEigen: closed form of the tridiagonal (−1, 2, −1): 2 − 2·cos(πj/(n+1))', () => {
    const size = 40;
    const matrix = new Float64Array(size * size);
    for (let i = 0; i < size; i++) {
      matrix[i * size + i] = 2;
      if (i > 0) matrix[i * size + i - 1] = matrix[(i - 1) * size + i] = -1;
    }
    const expected = Array.from(
      { length: size },
      (_, j) => 2 - 2 * Math.cos((Math.PI * (j + 1)) / (size + 1)),
    );
    expect(relativeError(symmetricEigen(matrix, size).values, expected)).toBeLessThan(1e-14);
  });
});
