import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { symmetricEigen } from '../../coordinator/dense/symmetric-eigen.js';
import type { RequestInput } from '../../protocol/requests.js';
import { problems } from '../support/dense-problems.js';
import { TestFarm } from '../support/farm.js';

/* What a farm estimates by random vectors and minibatches, against the dense Hessian of a logistic problem. */
const { name, source, network, theta, hessian } = problems[1]!;
const size = hessian.length;
const eigenvalues = symmetricEigen(Float64Array.from(hessian.flat()), size).values;
const problem = { model: name, dataset: name } as const;

let farm: TestFarm;

beforeAll(async () => {
  farm = await TestFarm.start({ workers: 1 });
  await farm.importRows(name, source, 300);
  await farm.putModel(name, network, theta);
});
afterAll(() => farm?.stop());

describe('spectrum', () => {
  it('spectrum: eigenvalues, trace, log-determinant and density are those of the dense Hessian', async () => {
    const { values, report } = await farm.ask({
      ...{ type: 'spectrum', ...problem, largest: 2, smallest: 2, tolerance: 1e-6 },
      ...{ trace: 'hutch++', logDeterminant: true, density: true, damping: 0.01, probes: 36 },
    });
    expect(report.status).toBe('converged');
    const { largest, smallest, trace, logDeterminant, density } = report.spectrum!;
    // Products are exact to about 4e-6 (dense.test.ts), and so are the eigenvalues, relative to the largest.
    const close = 4e-6 * eigenvalues.at(-1)!;
    [...largest!, ...smallest!].forEach(({ value, residual }, i) => {
      const exact = [eigenvalues.at(-1)!, eigenvalues.at(-2)!, eigenvalues[0]!, eigenvalues[1]!][i]!;
      expect(Math.abs(value - exact)).toBeLessThan(close);
      expect(residual).toBeLessThan(close);
    });
    expect(values).toHaveLength(4 * size);
    // A sketch of 12 columns spans all 11 dimensions: nothing is left to chance.
    const exactTrace = eigenvalues.reduce((sum, value) => sum + value, 0);
    expect(Math.abs(trace!.value / exactTrace - 1)).toBeLessThan(1e-5);
    const exactLog = eigenvalues.reduce((sum, value) => sum + Math.log(value + 0.01), 0);
    expect(Math.abs(logDeterminant!.value - exactLog)).toBeLessThan(3 * logDeterminant!.standardError!);
    expect(logDeterminant!.standardError).toBeLessThan(0.05 * Math.abs(exactLog));
    const mean = density!.nodes.reduce((sum, node, j) => sum + node * density!.weights[j]!, 0);
    expect(Math.abs((mean * size) / exactTrace - 1)).toBeLessThan(0.2);
  });
});

describe('the same bits', () => {
  const requests: Record<string, RequestInput> = {
    spectrum: {
      ...{ type: 'spectrum', ...problem, leafRows: 64, largest: 2, smallest: 1 },
      ...{ trace: 'hutchinson', logDeterminant: true },
    },
  };

  it('from 1, 2 and 3 workers', async () => {
    const first: Record<string, unknown> = {};
    for (const workers of [1, 2, 3]) {
      if (workers > 1) await farm.addWorkers(1);
      for (const [what, request] of Object.entries(requests)) {
        const { values, report } = await farm.ask(request);
        expect(report.workers).toHaveLength(workers);
        const told = { values: [...values], columns: report.columns, spectrum: report.spectrum };
        first[what] ??= told;
        expect(told).toEqual(first[what]);
      }
    }
  });
});
