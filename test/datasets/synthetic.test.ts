import { describe, expect, it } from '@jest/globals';
import { gaussianClusters, linearRegression, logisticRegression } from '../../datasets/synthetic.js';
import { allRows } from '../support/datasets.js';

const size = { rows: 20_000, width: 4, seed: 5 };

describe('linearRegression', () => {
  it('linearRegression: the noise is what is left after the known weights, and columns have the condition asked for', () => {
    const { features, values, weights } = linearRegression(size, { noise: 0.1, condition: 100 });
    let noise = 0;
    const moments = new Float64Array(4);
    for (let row = 0; row < size.rows; row++) {
      const x = features.subarray(row * 4, row * 4 + 4);
      noise += (values[row]! - x.reduce((sum, value, column) => sum + value * weights[column]!, 0)) ** 2;
      for (const [column, value] of x.entries()) moments[column]! += value ** 2 / size.rows;
    }
    // Variances of 20,000 draws: standard error √(2/20,000) = 1 %, so 5 % is five of them.
    expect(noise / size.rows / 0.01).toBeCloseTo(1, 1);
    for (const [column, moment] of moments.entries())
      expect(Math.abs(moment * 100 ** (column / 3) - 1)).toBeLessThan(0.05);
  });
});

describe('logisticRegression', () => {
  it('logisticRegression: the classes are balanced without a bias, and rare with one', () => {
    const share = (bias: number) =>
      [...logisticRegression(size, { bias }).values].filter((label) => label === 1).length / size.rows;
    // E σ(z + b), z ~ N(0, 1), by scipy.integrate.quad: 0.5 and 0.0281. Standard errors 0.0035 and 0.0012; four of them.
    expect(Math.abs(share(0) - 0.5)).toBeLessThan(0.014);
    expect(Math.abs(share(-4) - 0.0281)).toBeLessThan(0.005);
  });
});

describe('gaussianClusters', () => {
  it('gaussianClusters: the rows of a class have its mean', () => {
    const { features, values, means } = gaussianClusters(size, { classes: 2 });
    for (const [id, mean] of means.entries()) {
      const sums = new Float64Array(4);
      let count = 0;
      for (let row = 0; row < size.rows; row++)
        if (values[row] === id) {
          count++;
          for (let column = 0; column < 4; column++) sums[column]! += features[row * 4 + column]!;
        }
      expect(count).toBe(size.rows / 2);
      // Standard error 1/√10,000 = 0.01; five of them.
      for (const [column, sum] of sums.entries())
        expect(Math.abs(sum / count - mean[column]!)).toBeLessThan(0.05);
    }
  });

  it('gaussianClusters: a source gives the rows in memory, whatever its batches, and a seed the same rows', async () => {
    const source = gaussianClusters({ rows: 2500, width: 3, seed: 1 });
    const rows = await allRows(source);
    expect(rows.flatMap(({ features }) => features)).toEqual([...source.features]);
    expect(rows.map(({ labels }) => labels[0])).toEqual([...source.values]);
    expect(gaussianClusters({ rows: 2500, width: 3, seed: 1 }).features).toEqual(source.features);
    expect(gaussianClusters({ rows: 2500, width: 3, seed: 2 }).features).not.toEqual(source.features);
  });
});
