import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { symmetricEigen } from '../../coordinator/dense/symmetric-eigen.js';
import { norm } from '../../coordinator/solvers/vectors.js';
import { gaussianClusters, linearRegression } from '../../datasets/synthetic.js';
import { networkSchema, parameterLayout, type Network } from '../../protocol/model.js';
import type { RequestInput } from '../../protocol/requests.js';
import { relativeError, shifted, solveDense, times, type Matrix } from '../support/dense.js';
import { firstDigits } from '../support/datasets.js';
import { TestFarm } from '../support/farm.js';
import { referenceHvp } from '../support/reference.js';
import { normals } from '../support/spectra.js';

/* Krylov methods on a farm: a network that is not convex, with its dense float64 Hessian beside it, and real digits. */
type SolveInput = Extract<RequestInput, { type: 'solve' }>;
type MethodInput = SolveInput['method'];

const dense = (units: number, activation: 'tanh' | 'linear') =>
  ({ type: 'dense', units, useBias: true, activation }) as const;

let farm: TestFarm;
beforeAll(async () => (farm = await TestFarm.start({ workers: 1 })));
afterAll(() => farm?.stop());

describe('a network that is not convex', () => {
  const rows = gaussianClusters({ rows: 60, width: 3, seed: 5 }, { classes: 3, spread: 1 });
  const network: Network = {
    input: { shape: [3] },
    layers: [dense(5, 'tanh'), dense(3, 'linear')],
    ...{ loss: 'softmaxCrossEntropy', l2: 0 },
  };
  const size = 38;
  const theta = Float32Array.from(normals(size, 3));
  const count = 3;
  const v = Float64Array.from(normals(count * size, 4));
  let hessian: Matrix;
  let least: number;
  let condition: number;
  let rhs: SolveInput['rhs'];

  beforeAll(async () => {
    await farm.importRows('clusters', rows, 30);
    await farm.putModel('clusters', network, theta);
    rhs = { kind: 'vectors', name: await farm.client.uploadVectors(v, count) };
    const reference = Array.from({ length: 60 }, (_, row) => ({
      x: rows.features.subarray(3 * row, 3 * row + 3),
      y: [rows.values[row]!],
    }));
    hessian = Array.from({ length: size }, (_, j) => {
      const unit = Float64Array.from({ length: size }, (_, i) => (i === j ? 1 : 0));
      return [...referenceHvp(network, theta, reference, unit)].map((value) => value / 60);
    });
    const { values } = symmetricEigen(Float64Array.from(hessian.flat()), size);
    least = values[0]!;
    const sizes = [...values].map(Math.abs);
    condition = Math.max(...sizes) / Math.min(...sizes);
    expect(least).toBeLessThan(-1e-3);
  });

  const solve = (method: MethodInput, damping = 0) =>
    farm.ask({ type: 'solve', model: 'clusters', dataset: 'clusters', rhs, damping, method });
  const residualOf = (values: Float64Array, k: number, damping: number) =>
    relativeError(
      times(shifted(hessian, damping), values.subarray(k * size, (k + 1) * size)),
      v.subarray(k * size, (k + 1) * size),
    );

  it('fail: says how far H is from definite, and names a λ that does', async () => {
    const { report } = await solve({ name: 'cg', tolerance: 1e-4 });
    expect(report).toMatchObject({ status: 'indefinite', indefinite: { policy: 'fail' } });
    // Ritz values lie above the smallest eigenvalue, but for the rounding of float32 products.
    expect(report.indefinite!.smallestEigenvalue).toBeGreaterThan(1.01 * least);
    const damping = Number(/Use a damping of ([\d.e+-]+);/.exec(report.advice)?.[1]);
    expect((await solve({ name: 'cg', tolerance: 1e-4 }, damping)).report.status).toBe('converged');
  });

  it.each([false, true])('shift, block %s: the answer is that of the λ reported', async (block) => {
    const { report, values } = await solve({ name: 'cg', tolerance: 1e-4, block, onIndefinite: 'shift' });
    expect(report).toMatchObject({ status: 'converged', indefinite: { policy: 'shift' } });
    expect(report.damping).toBeGreaterThan(-least);
    for (let k = 0; k < count; k++) expect(residualOf(values, k, report.damping!)).toBeLessThan(1.1e-4);
  });

  it.each<[string, MethodInput]>([
    ['minres', { name: 'minres', tolerance: 1e-4 }],
    ['cg, then minres', { name: 'cg', tolerance: 1e-4, onIndefinite: 'minres' }],
  ])(
    '%s: the answer is that of the indefinite system, as far as float32 products tell',
    async (_, method) => {
      const { report, values } = await solve(method);
      expect(report.damping).toBe(0);
      for (let k = 0; k < count; k++) {
        const { status, trueResidual } = report.columns![k]!;
        expect(['converged', 'precision-limited', 'least-squares', 'stagnated']).toContain(status);
        // Products are exact to about 4e-6 (dense.test.ts), in ‖H‖‖s‖, and ‖s‖ ≤ ‖v‖·κ/‖H‖.
        expect(Math.abs(residualOf(values, k, 0) - trueResidual!)).toBeLessThan(4e-6 * condition);
        expect(trueResidual).toBeLessThan(1);
      }
    },
  );

  it('minres: with a λ that leaves it indefinite but regular, to the tolerance', async () => {
    // In the middle of the widest gap between eigenvalues below −1e-3.
    const { values } = symmetricEigen(Float64Array.from(hessian.flat()), size);
    const below = [...values].filter((value) => value < -1e-3);
    const gaps = below.slice(1).map((value, i) => ({ gap: value - below[i]!, at: (value + below[i]!) / 2 }));
    const { at } = gaps.reduce((best, each) => (each.gap > best.gap ? each : best));
    const { report, values: found } = await solve({ name: 'minres', tolerance: 1e-4 }, -at);
    expect(report.status).toBe('converged');
    for (let k = 0; k < count; k++) expect(residualOf(found, k, -at)).toBeLessThan(1.2e-4);
  });

  it('auto: a budget without room for CG gives a low-rank answer within it, its residual told', async () => {
    const maxProducts = 4 * count - 1;
    const { report, values } = await solve({ name: 'auto', tolerance: 1e-4, maxProducts }, 1.5 * -least);
    expect(report.chosen).toMatchObject({ method: { name: 'arnoldi', rank: 2 } });
    expect(report.lowRank!.products + count).toBeLessThanOrEqual(maxProducts);
    for (let k = 0; k < count; k++) {
      const { status, trueResidual } = report.columns![k]!;
      expect(status).toBe('completed');
      expect(residualOf(values, k, report.damping!)).toBeCloseTo(trueResidual!, 4);
    }
  });

  it('cg: block and independent recursions agree with Cholesky', async () => {
    const damping = 1.5 * -least;
    const expected = solveDense(shifted(hessian, damping), v.subarray(0, size));
    for (const block of [false, true]) {
      const { values } = await solve({ name: 'cg', block }, damping);
      expect(relativeError(values.subarray(0, size), expected)).toBeLessThan(1e-3);
    }
  });
});

describe('features in different units', () => {
  it('jacobi: takes the units away, where plain CG has to find them one by one', async () => {
    const rows = linearRegression({ rows: 300, width: 40, seed: 3 }, { condition: 1e5 });
    const network: Network = {
      input: { shape: [40] },
      layers: [dense(1, 'linear')],
      ...{ loss: 'squaredError', l2: 0 },
    };
    await farm.importRows('units', rows);
    await farm.putModel('units', network, new Float64Array(41));
    const iterations = async (method: MethodInput) => {
      const problem = { model: 'units', dataset: 'units', rhs: { kind: 'ones' as const } };
      const { report } = await farm.ask({ type: 'solve', ...problem, damping: 1e-4, method });
      expect(report.status).toBe('converged');
      return report.iterations!;
    };
    const plain = await iterations({ name: 'cg', tolerance: 1e-3 });
    const jacobi = await iterations({ name: 'cg', tolerance: 1e-3, preconditioner: 'jacobi', probes: 20 });
    console.log(`plain: ${plain} iterations, jacobi: ${jacobi}`);
    expect(jacobi).toBeLessThan(0.6 * plain);
  });
});

describe('digits', () => {
  const count = 400;
  const width = 784;
  const size = (width + 1) * 10;
  const network: Network = {
    input: { shape: [width] },
    layers: [dense(10, 'linear')],
    ...{ loss: 'softmaxCrossEntropy', l2: 0 },
  };
  const request = {
    ...{ type: 'solve' as const, model: 'digits', dataset: 'digits', damping: 0.01 },
    rhs: { kind: 'gradient' as const, dataset: 'digits', rows: [3, 141] },
  } satisfies Partial<SolveInput>;

  beforeAll(async () => {
    await farm.importRows('digits', await firstDigits(count), 200);
    const theta = normals(size, 8).map((value) => 0.03 * value);
    await farm.putModel('digits', network, theta);
  });

  it('preconditioners: fewer iterations than plain CG, to the same answer', async () => {
    const methods: Record<string, MethodInput> = {
      plain: { name: 'cg', tolerance: 1e-3 },
      block: { name: 'cg', tolerance: 1e-3, block: true },
      kfac: { name: 'cg', tolerance: 1e-3, preconditioner: 'kfac' },
      nystrom: { name: 'cg', tolerance: 1e-3, preconditioner: 'nystrom', seed: 3 },
    };
    const answers: Record<string, { values: Float64Array; iterations: number; products: number }> = {};
    for (const [name, method] of Object.entries(methods)) {
      const { report, values } = await farm.ask({ ...request, method });
      expect(report.status).toBe('converged');
      answers[name] = { values, iterations: report.iterations!, products: report.products };
    }
    console.log(
      Object.entries(answers)
        .map(([name, { iterations, products }]) => `${name}: ${iterations} iterations, ${products} products`)
        .join('\n'),
    );
    const { plain, ...others } = answers;
    // H is positive semidefinite, so that an answer is off by at most ‖r‖/λ, two of them by 2·tolerance·‖v‖/λ; and
    // v = (p − y)·[x, 1]ᵀ with ‖p − y‖ ≤ √2.
    const { features } = await firstDigits(count);
    request.rhs.rows.forEach((digit, k) => {
      const v = Math.SQRT2 * Math.hypot(1, norm(features.subarray(digit * width, (digit + 1) * width)));
      const part = (all: Float64Array) => all.subarray(k * size, (k + 1) * size);
      for (const { values } of Object.values(others)) {
        const difference = part(values).map((value, i) => value - part(plain!.values)[i]!);
        expect(norm(difference)).toBeLessThan((2e-3 / request.damping) * v);
      }
    });
    // Directions of the other right-hand side can only help. How much a preconditioner does no theory says beforehand:
    // 26 (nystrom) and 4 (kfac) iterations for 47 were seen.
    expect(others.block!.iterations).toBeLessThan(plain!.iterations);
    expect(others.kfac!.iterations).toBeLessThan(0.7 * plain!.iterations);
    expect(others.nystrom!.iterations).toBeLessThan(0.7 * plain!.iterations);
  });

  it('kfac: fewer iterations on a convolutional network, whose kernels all have factors', async () => {
    const small: Network = networkSchema.parse({
      input: { shape: [28, 28, 1] },
      layers: [
        { type: 'averagePooling2d', poolSize: [2, 2] },
        { type: 'conv2d', filters: 6, kernelSize: [5, 5], strides: [2, 2], activation: 'relu' },
        { type: 'flatten' },
        dense(10, 'linear'),
      ],
      ...{ loss: 'softmaxCrossEntropy', l2: 0 },
    });
    const { count: size } = parameterLayout(small);
    // As networks begin: kernels of standard deviation 1/√inputs, biases zero.
    const deviation = (i: number) => (i < 150 ? 0.2 : i < 156 || i >= 1656 ? 0 : 1 / Math.sqrt(150));
    const theta = Float32Array.from(normals(size, 9), (value, i) => deviation(i) * value);
    await farm.putModel('cnn', small, theta);
    const solve = (method: MethodInput) =>
      farm.ask({ ...request, model: 'cnn', curvature: 'gauss-newton', damping: 1e-3, method });
    const plain = await solve({ name: 'cg', tolerance: 1e-3 });
    const block = await solve({ name: 'cg', tolerance: 1e-3, preconditioner: 'kfac', block: true });
    const kfac = await solve({ name: 'cg', tolerance: 1e-3, preconditioner: 'kfac' });
    const iterations = [plain, kfac, block].map(({ report }) => report.iterations!);
    console.log(`plain, kfac, block kfac: ${iterations.join(', ')} iterations, p = ${size}`);
    for (const { report, values } of [kfac, block]) {
      expect(report.status).toBe('converged');
      expect(report.preconditioner).toEqual({ kind: 'kfac', products: 1, factored: size });
      // error ≤ κ·residual, but v hardly has the parts that are amplified by κ
      expect(relativeError(values, plain.values)).toBeLessThan(5e-2);
    }
    expect(iterations[1]).toBeLessThan(0.7 * iterations[0]!);
    expect(iterations[2]).toBeLessThanOrEqual(iterations[1]!);
  });

  it('a preconditioned solve has the same bits from one worker and two', async () => {
    const method = {
      name: 'cg',
      maxIterations: 5,
      preconditioner: 'nystrom',
      maxRank: 8,
      block: true,
    } as const;
    const alone = await farm.ask({ ...request, leafRows: 100, method });
    const more = await farm.addWorkers(1);
    const together = await farm.ask({ ...request, leafRows: 100, method });
    await farm.endWorkers(more);
    expect(together.report.workers).toHaveLength(2);
    expect([...together.values]).toEqual([...alone.values]);
  });
});
