import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { Evaluation } from '../../../coordinator/solvers/line-search.js';
import type { Objective } from '../../../coordinator/solvers/newton-descent.js';
import { newton } from '../../../coordinator/solvers/newton.js';
import type { Progress } from '../../../coordinator/solvers/types.js';
import type { Matrix } from '../../support/dense.js';
import { denseOperator, diagonal, relativeError, times } from '../../support/dense.js';

interface Fixture {
  l2: number;
  x: number[][];
  y: number[];
  theta: number[];
  value: number;
}
// Written by test/fixtures/logistic.py with SciPy.
const fixture = JSON.parse(readFileSync('test/fixtures/logistic.json', 'utf8')) as Fixture;
const size = fixture.theta.length;
const zeros = new Float64Array(size);
const defaults = { gradientTolerance: 1e-9, iterations: 50 };

interface Known {
  value: number;
  gradient: number[];
  hessian: () => Matrix;
}

/** An objective that records where it was asked, and refuses a Hessian anywhere but at the last point. */
function objective(n: number, at: (theta: Float64Array) => Known, round: (x: number) => number = (x) => x) {
  let known: Known | undefined;
  const recorded = {
    size: n,
    points: [] as number[][],
    at(theta: Float64Array): Promise<Evaluation> {
      known = at(theta);
      recorded.points.push([...theta]);
      const gradient = Float64Array.from(known.gradient, round);
      return Promise.resolve({ value: round(known.value), gradient });
    },
    operator: () => denseOperator(known!.hessian(), round),
  };
  return recorded satisfies Objective;
}

function logistic(theta: Float64Array): Known {
  const { x, y, l2 } = fixture;
  const n = x.length;
  const z = times(x, theta);
  const p = z.map((value) => 1 / (1 + Math.exp(-value)));
  let value = 0;
  z.forEach((v, i) => (value += (Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v))) - y[i]! * v) / n));
  value += (l2 / 2) * theta.reduce((sum, w) => sum + w * w, 0);
  const gradient = Array.from(theta, (w, j) =>
    x.reduce((sum, row, i) => sum + ((p[i]! - y[i]!) * row[j]!) / n, l2 * w),
  );
  const hessian = () => {
    const h = diagonal(new Array<number>(size).fill(l2));
    x.forEach((row, i) =>
      row.forEach((a, j) => row.forEach((b, k) => (h[j]![k]! += (p[i]! * (1 - p[i]!) * a * b) / n))),
    );
    return h;
  };
  return { value, gradient, hessian };
}

describe('newton', () => {
  it('newton: logistic regression from zero reaches the minimum that SciPy found', async () => {
    const solution = await newton(objective(size, logistic), zeros, defaults);
    expect(solution.status).toBe('converged');
    expect(solution.gradientNorm).toBeLessThanOrEqual(1e-9);
    // ‖θ − θ*‖ ≤ ‖∇f‖/l2 = 1e-7.
    expect(relativeError(solution.theta, fixture.theta)).toBeLessThan(1e-7);
    expect(Math.abs(solution.value - fixture.value)).toBeLessThan(1e-12);
    expect(solution.iterations).toBeLessThanOrEqual(10);
    expect(solution.gradientNorms).toHaveLength(solution.iterations + 1);
  });

  it('newton: an accepted full step costs one evaluation, and the last point asked for is the answer', async () => {
    const logged = objective(size, logistic);
    const solution = await newton(logged, zeros, defaults);
    expect(solution.evaluations).toBe(solution.iterations + 1);
    expect(logged.points).toHaveLength(solution.evaluations);
    expect(logged.points.at(-1)).toEqual([...solution.theta]);
  });

  it('newton: the last steps converge faster than linearly', async () => {
    const { gradientNorms } = await newton(objective(size, logistic), zeros, {
      ...defaults,
      gradientTolerance: 1e-12,
    });
    const ratios = gradientNorms.slice(1).map((g, i) => g / gradientNorms[i]!);
    expect(ratios.at(-1)!).toBeLessThan(0.01);
  });

  it('newton: float32 values, gradients and products converge to what float32 can tell', async () => {
    const solution = await newton(objective(size, logistic, Math.fround), zeros, {
      ...defaults,
      gradientTolerance: 1e-5,
    });
    expect(solution.status).toBe('converged');
    expect(relativeError(solution.theta, fixture.theta)).toBeLessThan(1e-3);
  });

  it('newton: a tolerance below the rounding of f and ∇f ends as precision-limited, at the best point', async () => {
    // A relative error of 3e-7 in f and an absolute one of 1e-7 in ∇f, that differ from point to point as rounding does.
    let calls = 0;
    const jitter = () => Math.sin((calls += 1) * 12.9898);
    const noisy = objective(size, (theta) => {
      const { value, gradient, hessian } = logistic(theta);
      return {
        value: value * (1 + 3e-7 * jitter()),
        gradient: gradient.map((g) => g + 1e-7 * jitter()),
        hessian,
      };
    });
    const solution = await newton(noisy, zeros, { ...defaults, gradientTolerance: 1e-12 });
    expect(solution.status).toBe('precision-limited');
    expect(solution.gradientNorm).toBeLessThan(1e-6);
    expect(solution.gradientNorm).toBe(Math.min(...solution.gradientNorms));
    expect(solution.iterations).toBeLessThan(20);
    expect(noisy.points.at(-1)).toEqual([...solution.theta]);
    expect(relativeError(solution.theta, fixture.theta)).toBeLessThan(1e-4);
  });

  it('newton: where every step is rejected it ends at the point it had, linearization and all', async () => {
    const step = objective(1, ([w]) => ({ value: w === 2 ? 0 : 1, gradient: [1], hessian: () => [[1]] }));
    const solution = await newton(step, Float64Array.of(2), defaults);
    expect(solution).toMatchObject({ status: 'precision-limited', value: 0, gradientNorm: 1, iterations: 0 });
    expect([...solution.theta]).toEqual([2]);
    expect(step.points.length).toBe(solution.evaluations);
    expect(step.points.at(-1)).toEqual([2]);
  });

  it('newton: where full steps overshoot the line search shortens them', async () => {
    // f = Σ √(1 + w²): a full Newton step goes to −w³, away from the minimum for |w| > 1.
    const root = objective(2, (theta) => ({
      value: theta.reduce((sum, w) => sum + Math.sqrt(1 + w * w), 0),
      gradient: Array.from(theta, (w) => w / Math.sqrt(1 + w * w)),
      hessian: () => diagonal(Array.from(theta, (w) => (1 + w * w) ** -1.5)),
    }));
    const solution = await newton(root, Float64Array.of(5, -3), defaults);
    expect(solution.status).toBe('converged');
    expect(solution.evaluations).toBeGreaterThan(solution.iterations + 1);
    expect(Math.hypot(...solution.theta)).toBeLessThan(1e-8);
  });

  it('newton: values that are not finite on the way are stepped back from', async () => {
    // f = w − log w, defined for w > 0; from w = 3 the full step goes to −3.
    const barrier = objective(1, ([w]) => ({
      value: w! > 0 ? w! - Math.log(w!) : NaN,
      gradient: [1 - 1 / w!],
      hessian: () => [[1 / w! ** 2]],
    }));
    const solution = await newton(barrier, Float64Array.of(3), defaults);
    expect(solution.status).toBe('converged');
    expect(solution.theta[0]).toBeCloseTo(1, 8);
  });

  it('newton: negative curvature at the start still leads to a minimum', async () => {
    // f = (x² − 1)² + y², a saddle at x = 0, minima at (±1, 0).
    const saddle = objective(2, ([x, y]) => ({
      value: (x! ** 2 - 1) ** 2 + y! ** 2,
      gradient: [4 * x! * (x! ** 2 - 1), 2 * y!],
      hessian: () => diagonal([12 * x! ** 2 - 4, 2]),
    }));
    const solution = await newton(saddle, Float64Array.of(0.1, 1), { ...defaults, gradientTolerance: 1e-8 });
    expect(solution.status).toBe('converged');
    expect(Math.abs(Math.abs(solution.theta[0]!) - 1)).toBeLessThan(1e-8);
  });

  it('newton: a start at the minimum costs one evaluation and no product', async () => {
    const solution = await newton(objective(size, logistic), Float64Array.from(fixture.theta), defaults);
    expect(solution).toMatchObject({ status: 'converged', iterations: 0, products: 0, evaluations: 1 });
  });

  it('newton: the iteration limit is a result with advice', async () => {
    const solution = await newton(objective(size, logistic), zeros, { ...defaults, iterations: 2 });
    expect(solution).toMatchObject({ status: 'iteration-limit', iterations: 2 });
    expect(solution.advice).toContain('after 2 iterations');
  });

  it('newton: a start where f is not finite is reported, not iterated on', async () => {
    const solution = await newton(
      objective(1, () => ({ value: NaN, gradient: [1], hessian: () => [[1]] })),
      Float64Array.of(1),
      defaults,
    );
    expect(solution).toMatchObject({ status: 'diverged', iterations: 0, products: 0 });
  });

  it('newton: progress counts every product, and an aborted signal ends it with the reason', async () => {
    const seen: Progress[] = [];
    const solution = await newton(objective(size, logistic), zeros, {
      ...defaults,
      onProgress: (p) => seen.push(p),
    });
    const counts = seen.map(({ products }) => products);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(seen.at(-1)).toMatchObject({
      measure: 'gradient',
      iteration: solution.iterations,
      products: solution.products,
    });
    const reason = new Error('cancelled by the user');
    const signal = AbortSignal.abort(reason);
    await expect(newton(objective(size, logistic), zeros, { ...defaults, signal })).rejects.toBe(reason);
  });
});
