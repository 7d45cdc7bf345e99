import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generator, normal } from '../../protocol/random.js';
import type { RequestInput } from '../../protocol/requests.js';
import { relativeError, solveDense, times, type Matrix } from '../support/dense.js';
import { problems, rows } from '../support/dense-problems.js';
import { TestFarm } from '../support/farm.js';
import { pausedInTurn } from '../support/pause.js';

/*
 * In four shards of 253 or 252 rows, in leaves of 64 rows (16 leaves, the last of each shard short) and minibatches of 50.
 */
const leafRows = 64;
const leaves = 16;

/** K columns that point everywhere, of different lengths. */
function vectors(count: number, size: number): Float64Array {
  const random = generator(7);
  return Float64Array.from(
    { length: count * size },
    (_, i) => 10 ** (Math.floor(i / size) - 3) * normal(random),
  );
}

/** λmax/λmin of a symmetric positive definite matrix, by power iterations on it and on its inverse. */
function condition(matrix: Matrix): number {
  const largest = (apply: (x: number[]) => number[]) => {
    let x = matrix.map((_, i) => 1 + i / 7);
    let norm = 0;
    for (let step = 0; step < 500; step++) {
      x = apply(x);
      norm = Math.hypot(...x);
      x = x.map((value) => value / norm);
    }
    return norm;
  };
  return largest((x) => times(matrix, x)) * largest((x) => solveDense(matrix, x));
}

let farm: TestFarm;

beforeAll(async () => {
  farm = await TestFarm.start({ workers: 1 });
  for (const { name, source, network, theta } of problems) {
    const { shards } = await farm.importRows(name, source, 300);
    expect(shards.map((shard) => shard.rows)).toEqual([253, 252, 252, 252]);
    await farm.putModel(name, network, theta);
  }
});
afterAll(() => farm?.stop());

describe.each(problems)('$name', ({ name, source, hessian }) => {
  const size = source.width + 1;
  const problem = { model: name, dataset: name };
  const column = (values: Float64Array, k: number) => values.subarray(k * size, (k + 1) * size);

  it('the problem is what the tolerances are for: condition at most 100', () => {
    expect(condition(hessian)).toBeLessThan(100);
    expect(condition(hessian)).toBeGreaterThan(5);
    const ones = source.values.filter((label) => label === 1).length;
    if (name === 'logistic') expect(ones / rows).toBeLessThan(0.12);
  });

  it.each([1, 7])('hvp: K = %d products are those of the dense matrix to float32', async (count) => {
    const block = vectors(count, size);
    const rhs = { kind: 'vectors', name: await farm.client.uploadVectors(block, count) } as const;
    const { values, report } = await farm.ask({ type: 'hvp', ...problem, leafRows, rhs });
    expect(report.dataset.leaves).toBe(leaves);
    for (let k = 0; k < count; k++)
      // Sums of up to 64 float32 terms: their rounding, 64·2⁻²⁴ = 4e-6, at the very most.
      expect(relativeError(column(values, k), times(hessian, column(block, k)))).toBeLessThan(4e-6);
  });

  it.each([1, 7])('cg: K = %d solutions are those of the dense solve to 1e-4', async (count) => {
    const block = vectors(count, size);
    const rhs = { kind: 'vectors', name: await farm.client.uploadVectors(block, count) } as const;
    const damping = 0.01;
    const method = { name: 'cg', tolerance: 1e-6 } as const;
    const { values, report } = await farm.ask({ type: 'solve', ...problem, leafRows, rhs, damping, method });
    expect(report.columns).toHaveLength(count);
    const shifted = hessian.map((row, i) => row.map((value, j) => value + (i === j ? damping : 0)));
    for (let k = 0; k < count; k++) {
      const expected = solveDense(shifted, column(block, k));
      // Relative error ≤ condition · residual: 100 · 1e-6.
      expect(relativeError(column(values, k), expected)).toBeLessThan(1e-4);
      expect(report.columns![k]!.trueResidual).toBeLessThan(2e-6);
    }
  });

  it('direct: K = 7 solutions are those of the dense solve to 1e-5', async () => {
    const block = vectors(7, size);
    const rhs = { kind: 'vectors', name: await farm.client.uploadVectors(block, 7) } as const;
    const method = { name: 'direct' } as const;
    const { values, report } = await farm.ask({ type: 'solve', ...problem, leafRows, rhs, method });
    expect(report.status).toBe('converged');
    for (let k = 0; k < 7; k++)
      // Condition at most 100, products to 4e-6 at the very most and mostly a tenth of it.
      expect(relativeError(column(values, k), solveDense(hessian, column(block, k)))).toBeLessThan(1e-5);
  });

  it('lissa: the error is what its standard error says', async () => {
    const method = { name: 'lissa', scale: 10, batchSize: 50, depth: 15, samples: 6, seed: 3 } as const;
    const rhs = { kind: 'ones' } as const;
    const { values, report } = await farm.ask({ type: 'solve', ...problem, rhs, damping: 0.3, method });
    expect(report.status).toBe('completed');
    const shifted = hessian.map((row, i) => row.map((value, j) => value + (i === j ? 0.3 : 0)));
    const error = relativeError(values, solveDense(shifted, new Float64Array(size).fill(1)));
    const ratio = error / report.standardErrors![0]!;
    // The error's norm has the mean square of the standard error, plus a bias of the order of 1/scale.
    expect(ratio).toBeLessThan(3);
    expect(ratio).toBeGreaterThan(0.2);
    expect(error).toBeLessThan(0.05);
  });
});

describe('the same bits', () => {
  const size = 11;
  const requests: Record<string, RequestInput> = {};
  const first: Record<string, Buffer> = {};

  async function expectSameBits(workers: number) {
    for (const [name, request] of Object.entries(requests)) {
      const { id } = await farm.client.submit(request);
      const { report } = await farm.client.wait(id);
      if (name === 'cg') {
        expect(report.dataset.leaves).toBe(leaves);
        expect(report.workers).toHaveLength(workers);
      }
      const bytes = Buffer.from((await farm.client.file(id, 'solution.arrow'))!);
      first[name] ??= bytes;
      expect(bytes.equals(first[name])).toBe(true);
    }
  }

  beforeAll(async () => {
    const common = { type: 'solve', model: 'logistic', dataset: 'logistic', damping: 0.01 } as const;
    const name = await farm.client.uploadVectors(vectors(7, size), 7);
    const rhs = { kind: 'vectors', name } as const;
    requests['cg'] = { ...common, rhs, leafRows, method: { name: 'cg', tolerance: 1e-7 } };
    requests['lissa'] = {
      ...common,
      rhs,
      method: { name: 'lissa', scale: 5, batchSize: 50, depth: 2, samples: 3, blockSize: 3 },
    };
  });

  it('from 1, 2 and 5 workers, delayed in turn, and with other numbers of threads', async () => {
    await expectSameBits(1);
    const second = await farm.addWorkers(1);
    await expectSameBits(2);
    const others = await farm.addWorkers(3);
    await expectSameBits(5);

    const orders = await pausedInTurn(farm, [...second, ...others], () => expectSameBits(5));
    // Evidence that the sums did arrive in several orders.
    expect(orders.size).toBeGreaterThan(2);

    await farm.endWorkers([...second, ...others]);
    await farm.addWorkers(1, 3);
    await expectSameBits(2);
  });
});
