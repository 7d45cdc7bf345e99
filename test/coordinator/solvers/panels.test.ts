import { describe, expect, it } from '@jest/globals';
import { addCombinations, gram } from '../../../coordinator/solvers/panels.js';
import { row } from '../../../coordinator/solvers/vectors.js';
import { normals } from '../../support/spectra.js';

const rows = (count: number, length: number, seed: number) => {
  const block = Float64Array.from(normals(count * length, seed));
  return Array.from({ length: count }, (_, k) => row(block, k, length));
};
/** m, n and length: groups and tiles that are full, begun, and several. */
const shapes: [number, number, number][] = [
  [1, 1, 1],
  [2, 4, 4],
  [3, 5, 7],
  [10, 10, 9001],
  [70, 3, 1501],
  [3, 130, 1501],
];

describe.each(shapes)('panels of %d and %d rows of %d values', (m, n, length) => {
  const [a, b] = [rows(m, length, 1), rows(n, length, 2)];
  const sum = (x: Float64Array, y: Float64Array) => x.reduce((total, value, t) => total + value * y[t]!, 0);
  const close = 1e-13 * length;

  it('gram: every row of one with every row of the other, and of one with itself', () => {
    const [ab, aa] = [gram(a, b), gram(a, a)];
    for (let i = 0; i < m; i += 1) {
      for (let j = 0; j < n; j += 1) expect(Math.abs(ab[i * n + j]! - sum(a[i]!, b[j]!))).toBeLessThan(close);
      for (let j = 0; j < m; j += 1) expect(Math.abs(aa[i * m + j]! - sum(a[i]!, a[j]!))).toBeLessThan(close);
    }
  });

  it('addCombinations: every row gains its combination of the others, which stay as they are', () => {
    const c = Float64Array.from(normals(m * n, 3));
    const [x, y] = [a.map((one) => one.slice()), b.map((one) => one.slice())];
    addCombinations(y, -1, c, x);
    expect(x).toEqual(a);
    for (let j = 0; j < n; j += 1)
      for (let t = 0; t < length; t += 97) {
        const taken = a.reduce((total, one, i) => total + c[i * n + j]! * one[t]!, 0);
        expect(Math.abs(y[j]![t]! - (b[j]![t]! - taken))).toBeLessThan(1e-13 * m);
      }
  });

  it('addCombinations: to other rows, or to nothing, whatever the rows were', () => {
    const c = Float64Array.from(normals(m * n, 3));
    const [y, sums] = [b.map((one) => one.slice().fill(NaN)), b.map((one) => one.slice())];
    addCombinations(y, -1, c, a, b);
    addCombinations(sums, -1, c, a);
    expect(y).toEqual(sums);
    const zeros = b.map((one) => new Float64Array(one.length));
    addCombinations(y, 1, c, a, 'nothing');
    addCombinations(zeros, 1, c, a);
    expect(y).toEqual(zeros);
  });
});
