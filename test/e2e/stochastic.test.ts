import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Child } from '../../cli/child-process.js';
import { symmetricEigen } from '../../coordinator/dense/symmetric-eigen.js';
import type { RequestInput } from '../../protocol/requests.js';
import { relativeError, shifted, solveDense, times } from '../support/dense.js';
import { problems } from '../support/dense-problems.js';
import { TestFarm, type Answer } from '../support/farm.js';

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

describe('lissa', () => {
  const damping = 0.02;
  const rhs = { kind: 'ones' } as const;
  const expected = solveDense(shifted(hessian, damping), new Float64Array(size).fill(1));
  const solve = (method: object): Promise<Answer> =>
    farm.ask({
      type: 'solve',
      ...problem,
      rhs,
      damping,
      method: { name: 'lissa', ...method },
    });

  it('lissa: without a number given it converges; the next job pays nothing for the estimates', async () => {
    const first = await solve({ samples: 2 });
    expect(first.report.status).toBe('converged');
    expect(first.report.columns![0]!.trueResidual).toBeLessThan(0.02);
    const { curvature, scale, batchSize, restarts, residualErrors, utilisation } = first.report.lissa!;
    expect(restarts).toEqual([]);
    expect(curvature!.reused).toBe(false);
    expect(curvature!.products).toBeGreaterThan(0);
    // Eight steps from three probes find λmax in eleven dimensions; minibatches are steeper than the mean.
    expect(Math.abs(curvature!.largest / eigenvalues.at(-1)! - 1)).toBeLessThan(1e-3);
    expect(scale).toBeGreaterThan(curvature!.largest);
    expect(scale).toBeLessThan(4 * curvature!.largest);
    expect(batchSize).toBeLessThanOrEqual(252);
    expect(residualErrors).toHaveLength(1);
    for (const busy of Object.values(utilisation!)) {
      expect(busy).toBeGreaterThan(0);
      expect(busy).toBeLessThanOrEqual(1);
    }
    // ‖s − A⁻¹v‖ ≤ ‖r‖ / (λmin + λ)
    const error = relativeError(first.values, expected) * Math.hypot(...expected);
    const bound = (first.report.columns![0]!.trueResidual! * Math.sqrt(size)) / (eigenvalues[0]! + damping);
    expect(error).toBeLessThanOrEqual(bound * (1 + 1e-4));

    const second = await solve({ samples: 2 });
    expect(second.report.lissa!.curvature).toMatchObject({ reused: true, products: 0 });
    expect([...second.values]).toEqual([...first.values]);
  });

  it('lissa: a scale far too small is given up within a few steps, and the job ends well', async () => {
    const { report } = await solve({ scale: eigenvalues.at(-1)! / 50 });
    expect(report.status).toBe('converged');
    expect(report.lissa!.restarts).toHaveLength(1);
    expect(report.lissa!.restarts[0]!.steps).toBeLessThan(20);
    expect(report.lissa!.scale).toBeGreaterThan(eigenvalues.at(-1)!);
  });

  it('lissa: without restarts, the scale advised is at least λmax + λ', async () => {
    const { report } = await solve({ scale: eigenvalues.at(-1)! / 50, restarts: 0 });
    expect(report.status).toBe('diverged');
    const advised = Number(/say (?:to )?([\d.e+-]+)[.,]/.exec(report.advice)?.[1]);
    expect(advised).toBeGreaterThanOrEqual(eigenvalues.at(-1)! + damping);
  });

  it('lissa: with leaves smaller than a shard, a minibatch linearized by itself gives the same steps', async () => {
    const scale = 2 * eigenvalues.at(-1)!;
    const method = { name: 'lissa', scale, depth: 2, batchSize: 50, samples: 2 } as const;
    const ask = (own: object) => farm.ask({ type: 'solve', ...problem, rhs, damping, method, ...own });
    const whole = await ask({});
    // Smaller than the minibatch, and larger.
    for (const leafRows of [32, 64]) {
      const parts = await ask({ leafRows });
      expect(parts.report.dataset.leafRows).toBe(leafRows);
      // The same rows in the same steps, in float32 on two ways.
      expect(relativeError(parts.values, whole.values)).toBeLessThan(2e-6);
    }
  });

  it('lissa: minibatches of all rows, drawn globally, are the deterministic recursion', async () => {
    const scale = 2 * eigenvalues.at(-1)!;
    const depth = 7;
    const { values } = await solve({ sampling: 'global', batchSize: 4000, scale, depth });
    let s = new Array<number>(size).fill(1);
    for (let t = 0; t < depth; t++) {
      const hs = times(hessian, s);
      s = s.map((x, i) => 1 + (1 - damping / scale) * x - hs[i]! / scale);
    }
    expect(
      relativeError(
        values,
        s.map((x) => x / scale),
      ),
    ).toBeLessThan(1e-5);
  });

  it.each(['replacement', 'global'])('lissa: minibatches by %s converge too', async (sampling) => {
    const { report } = await solve({ sampling, tolerance: 0.1 });
    expect(report.status).toBe('converged');
    expect(report.lissa).toMatchObject({ sampling, restarts: [] });
  });

  it('lissa: damping auto is a tenth of the mean eigenvalue, for any method', async () => {
    const mean = eigenvalues.reduce((sum, value) => sum + value, 0) / size;
    const { report } = await farm.ask({
      type: 'solve',
      ...problem,
      rhs,
      damping: 'auto',
      method: { name: 'cg' },
    });
    // Three probes' trace, within three standard errors of it or so.
    expect(report.damping! / mean).toBeGreaterThan(0.05);
    expect(report.damping! / mean).toBeLessThan(0.2);
    expect(report.advice).toContain('damping auto');
  });
});

describe('arnoldi', () => {
  const solve = (rows: number[], damping: number) =>
    farm.ask({
      ...{ type: 'solve', ...problem, damping, rhs: { kind: 'gradient', dataset: name, rows } },
      method: { name: 'arnoldi', rank: 8 },
    });

  it('arnoldi: the eigenpairs are kept; later right-hand sides and dampings cost the check alone', async () => {
    const first = await solve([0], 0.1);
    expect(first.report.lowRank).toMatchObject({ rank: 8, reused: false });
    expect(first.report.lowRank!.products).toBeGreaterThan(7);
    first.report.lowRank!.eigenvalues.forEach(({ value }, i) =>
      // Float32 products, and pairs to 1e-5·‖H‖: their values are as good as that squared over the gap.
      expect(Math.abs(value - eigenvalues[size - 1 - i]!)).toBeLessThan(1e-5 * eigenvalues.at(-1)!),
    );
    const second = await solve([1, 2, 3], 0.05);
    expect(second.report.lowRank).toMatchObject({ reused: true, products: 0 });
    expect(second.report.products).toBe(3);
    for (const k of [0, 1, 2]) {
      // What it says is what it is: by the dense matrix, to float32.
      const s = second.values.subarray(k * size, (k + 1) * size);
      const v = gradientOf(k + 1);
      const residual = relativeError(times(shifted(hessian, 0.05), s), v);
      expect(Math.abs(residual - second.report.columns![k]!.trueResidual!)).toBeLessThan(1e-5);
    }
    const again = await solve([0], 0.1);
    expect([...again.values]).toEqual([...first.values]);
  });

  /** σ(z) − y of one row, times (x, 1). */
  function gradientOf(row: number): number[] {
    const x = [...source.features.subarray(row * source.width, (row + 1) * source.width), 1];
    const z = x.reduce((sum, value, i) => sum + value * theta[i]!, 0);
    return x.map((value) => (1 / (1 + Math.exp(-z)) - source.values[row]!) * value);
  }
});

describe('the same bits', () => {
  const requests: Record<string, RequestInput> = {
    spectrum: {
      ...{ type: 'spectrum', ...problem, leafRows: 64, largest: 2, smallest: 1 },
      ...{ trace: 'hutchinson', logDeterminant: true },
    },
    lissa: {
      ...{ type: 'solve', ...problem, rhs: { kind: 'ones' }, damping: 0.02 },
      method: { name: 'lissa', scale: 0.01, samples: 3, seed: 5, tolerance: 0.1 },
    },
    global: {
      ...{ type: 'solve', ...problem, rhs: { kind: 'ones' }, damping: 0.02 },
      method: { name: 'lissa', sampling: 'global', batchSize: 100, depth: 2, samples: 2 },
    },
  };

  it('from 1, 2 and 3 workers', async () => {
    const first: Record<string, unknown> = {};
    let added: Child[] = [];
    for (const workers of [1, 3, 2]) {
      if (workers === 3) added = await farm.addWorkers(2);
      if (workers === 2) await farm.endWorkers(added.slice(1));
      for (const [what, request] of Object.entries(requests)) {
        const { values, report } = await farm.ask(request);
        if (what === 'spectrum') expect(report.workers).toHaveLength(workers);
        const told = {
          values: [...values],
          columns: report.columns,
          spectrum: report.spectrum,
          restarts: report.lissa?.restarts,
        };
        first[what] ??= told;
        expect(told).toEqual(first[what]);
      }
    }
  });
});
