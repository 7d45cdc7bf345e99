import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import type { ChainState } from '../../../coordinator/solvers/chains.js';
import type { LissaOptions } from '../../../coordinator/solvers/lissa.js';
import { lissa } from '../../../coordinator/solvers/lissa.js';
import type { Progress } from '../../../coordinator/solvers/types.js';
import { dot } from '../../../coordinator/solvers/vectors.js';
import { generator, normal } from '../../../protocol/random.js';
import { denseChainRunner } from '../../support/chains.js';
import type { Matrix } from '../../support/dense.js';
import {
  denseOperator,
  diagonal,
  difference,
  relativeError,
  shifted,
  solveDense,
  times,
  withSpectrum,
} from '../../support/dense.js';

// One row (x, y) = (2, 1), ŷ = w₂w₁x, loss (ŷ − y)², at w = (1, ⅓): second derivatives 8w₂², 8w₁², 16w₁w₂ − 4.
const toy: Matrix = [
  [8 / 9, 4 / 3],
  [4 / 3, 8],
];
const ones = Float64Array.of(1, 1);
const defaults = { scale: 10, damping: 0, batchSize: 1, depth: 100, samples: 1, seed: 0, blockSize: 1 };
const solveToy = (options: Partial<LissaOptions>, row = toy) =>
  lissa(denseOperator(row), denseChainRunner([[row]], ones), ones, { ...defaults, ...options });

/** Rows of a logistic problem: per-row Hessians p(1−p)·x xᵀ, in shards of these sizes, and their mean plus l2. */
function logistic(shardRows: number[], size: number, l2: number, seed: number) {
  const random = generator(seed);
  const mean = diagonal(new Array<number>(size).fill(l2));
  const total = shardRows.reduce((sum, rows) => sum + rows, 0);
  const shards = shardRows.map((rows) =>
    Array.from({ length: rows }, () => {
      const x = Array.from({ length: size }, () => normal(random));
      const p = 1 / (1 + Math.exp(-x[0]! - 1));
      const hessian = x.map((a) => x.map((b) => p * (1 - p) * a * b));
      hessian.forEach((row, i) => row.forEach((value, j) => (mean[i]![j]! += value / total)));
      return hessian;
    }),
  );
  const vectors = (count: number) => Float64Array.from({ length: count * size }, () => normal(random));
  return { shards, mean, vectors };
}

describe('lissa', () => {
  it('lissa: the toy Hessian is that of the notebook', () => {
    expect(relativeError(times(toy, ones), [20 / 9, 28 / 3])).toBeLessThan(1e-15);
    expect(relativeError(solveDense(toy, ones), [1.25, -1 / 12])).toBeLessThan(1e-14);
  });

  // The notebook's six decimals: half a unit in the last place.
  it.each([
    [{ scale: 20 }, 1.205804, -0.075319],
    [{ scale: 10 }, 1.248576, -0.083075],
    [{ scale: 5 }, 1.249999, -0.083333],
    [{ damping: 0.1 }, 1.085338, -0.055193],
    [{ damping: 0.5 }, 0.714678, 0.005541],
    [{ damping: 1.0 }, 0.50365, 0.036496],
    [{ damping: 0.1, convention: 'authors' as const }, 0.50365, 0.036496],
    [{ damping: 0.5, convention: 'authors' as const }, 0.156018, 0.060921],
    [{ damping: 1.0, convention: 'authors' as const }, 0.085812, 0.049199],
  ])('lissa: notebook, 100 steps, %j', async (options, first, second) => {
    const solution = await solveToy(options);
    expect(Math.abs(solution.solutions[0]! - first)).toBeLessThan(5.1e-7);
    expect(Math.abs(solution.solutions[1]! - second)).toBeLessThan(5.1e-7);
    expect(solution.status).toBe('completed');
    expect(solution.products).toBe(101);
  });

  it('lissa: both conventions approach (H + effectiveDamping·I)⁻¹ v and report the residual of that', async () => {
    for (const convention of ['exact', 'authors'] as const) {
      const solution = await solveToy({ convention, damping: 0.3, depth: 2000 });
      expect(solution.effectiveDamping).toBe(convention === 'exact' ? 0.3 : 3);
      const expected = solveDense(shifted(toy, solution.effectiveDamping), ones);
      expect(relativeError(solution.solutions, expected)).toBeLessThan(1e-12);
      expect(solution.trueResiduals[0]).toBeLessThan(1e-12);
    }
  });

  it('lissa: scale 1 on the toy is reported as diverged within three steps, finite, with a scale that works', async () => {
    const progress: Progress[] = [];
    const solution = await solveToy({ scale: 1, onProgress: (event) => progress.push(event) });
    expect(solution.status).toBe('diverged');
    expect(progress.length).toBeLessThan(3);
    const numbers = [...solution.solutions, ...solution.trueResiduals, ...solution.residualHistory];
    expect(numbers.every(Number.isFinite)).toBe(true);
    const scale = Number(/say ([\d.e+-]+)\./.exec(solution.advice)?.[1]);
    const again = await solveToy({ scale, depth: 500 });
    expect(relativeError(again.solutions, [1.25, -1 / 12])).toBeLessThan(1e-9);
  });

  it('lissa: the scale that just does not converge is found out, the one that just does is not accused', async () => {
    const largest = (8 / 9 + 8 + Math.hypot(8 - 8 / 9, 8 / 3)) / 2;
    // |1 − 8.36/scale|: 1.05 and 0.99.
    const diverging = await solveToy({ scale: largest / 2.05, depth: 300 });
    expect(diverging.status).toBe('diverged');
    expect(diverging.iterations).toBeLessThan(120);
    expect((await solveToy({ scale: largest / 1.99, depth: 1000 })).status).toBe('completed');
  });

  it('lissa: the scale advised after divergence is no less than one that is known to do', async () => {
    for (const scale of [0.05, 1, 4]) {
      const solution = await solveToy({ scale, saferScale: () => Promise.resolve(64) });
      expect(solution.status).toBe('diverged');
      expect(Number(/say (?:to )?([\d.e+-]+)[.,]/.exec(solution.advice)?.[1])).toBeGreaterThanOrEqual(64);
    }
  });

  it('lissa: numbers beyond the device end a chain as diverged, with the state before', async () => {
    const runner = denseChainRunner([[toy]], ones);
    const overflowing = {
      ...runner,
      run: async (task: Parameters<typeof runner.run>[0]) =>
        task.pass < 2 ? runner.run(task) : Float64Array.of(Infinity, NaN),
    };
    const solution = await lissa(denseOperator(toy), overflowing, ones, defaults);
    expect(solution).toMatchObject({ status: 'diverged', iterations: 2 });
    const twoPasses = await solveToy({ depth: 2 });
    expect([...solution.solutions]).toEqual([...twoPasses.solutions]);
  });

  it('lissa: slow but valid chains are never called diverged, their residual stays below 1', async () => {
    for (const smallest of [0, 1e-6, 1e-3]) {
      const hessian = diagonal([1, 0.01, smallest]);
      const v = Float64Array.of(1, 1, 1);
      const solution = await lissa(denseOperator(hessian), denseChainRunner([[hessian]], v), v, {
        ...defaults,
        scale: 2,
        depth: 3000,
      });
      expect(solution.status).toBe('completed');
      expect(solution.trueResiduals[0]).toBeLessThan(1);
    }
  });

  it('lissa: noisy minibatches within the bound are never called diverged', async () => {
    // Rank-one rows of very different directions: batch size 1, scale just above the steepest row.
    const { shards, mean, vectors } = logistic([40, 37], 4, 1e-3, 3);
    const steepest = Math.max(...shards.flat().map((h) => h.reduce((trace, row, i) => trace + row[i]!, 0)));
    const v = vectors(1);
    for (let seed = 0; seed < 10; seed += 1) {
      const runner = denseChainRunner(shards, v, 1e-3);
      const solution = await lissa(denseOperator(mean), runner, v, {
        ...defaults,
        scale: steepest,
        depth: 20,
        seed,
      });
      expect(solution.status).toBe('completed');
    }
  });

  it('lissa: an indefinite Hessian is named as such, with the damping that it needs', async () => {
    const hessian = diagonal([1, -0.2]);
    const solution = await solveToy({ scale: 2 }, hessian);
    expect(solution.status).toBe('diverged');
    expect(solution.advice).toContain('indefinite');
    const damping = Number(/say ([\d.e+-]+),/.exec(solution.advice)?.[1]);
    expect(damping).toBeGreaterThan(0.2);
    expect((await solveToy({ scale: 2, damping }, hessian)).status).toBe('completed');
  });

  it('lissa: stochastic chains over uneven shards approach the dense solution as depth and samples grow', async () => {
    const { shards, mean, vectors } = logistic([23, 24, 23], 5, 0.05, 1);
    const v = vectors(3);
    const error = async (depth: number, samples: number, scale: number) => {
      const solution = await lissa(denseOperator(mean), denseChainRunner(shards, v, 0.05), v, {
        ...{ ...defaults, scale, damping: 0.01, batchSize: 10, depth, samples, blockSize: 2 },
      });
      const expected = [0, 1, 2].flatMap((k) =>
        solveDense(shifted(mean, 0.01), v.subarray(5 * k, 5 * k + 5)),
      );
      return { error: relativeError(solution.solutions, expected), solution };
    };
    const few = await error(20, 1, 20);
    const many = await error(300, 4, 20);
    expect(few.solution.standardErrors).toBeNull();
    expect(few.error).toBeGreaterThan(0.1);
    // What is left is the bias of the order 1/scale that sampling without replacement has, and noise.
    expect(many.error).toBeLessThan(0.005);
    expect(Math.max(...many.solution.trueResiduals)).toBeLessThan(0.005);
  });

  it('lissa: the answer and its standard error are those of the samples, each solved alone', async () => {
    const { shards, mean, vectors } = logistic([9, 10], 3, 0.1, 9);
    const v = vectors(1);
    const runner = denseChainRunner(shards, v, 0.1);
    const options = { ...defaults, scale: 4, batchSize: 2, depth: 30 };
    const together = await lissa(denseOperator(mean), runner, v, { ...options, samples: 3 });
    const alone: Float64Array[] = [];
    for (const sample of [0, 1, 2]) {
      const shardOrder = (seed: number, _: number, pass: number) => runner.shardOrder(seed, sample, pass);
      const run = (task: Parameters<typeof runner.run>[0]) => runner.run({ ...task, sample });
      alone.push((await lissa(denseOperator(mean), { ...runner, shardOrder, run }, v, options)).solutions);
    }
    const average = [0, 1, 2].map((i) => (alone[0]![i]! + alone[1]![i]! + alone[2]![i]!) / 3);
    expect(relativeError(together.solutions, average)).toBeLessThan(1e-14);
    const squares = alone.reduce((sum, s) => sum + relativeError(s, average) ** 2, 0);
    expect(squares).toBeGreaterThan(1e-8);
    expect(together.standardErrors![0]).toBeCloseTo(Math.sqrt(squares / 6), 12);
  });

  it('lissa: with whole shards that are alike, one minibatch each, it is the deterministic recursion', async () => {
    const { shards, mean, vectors } = logistic([30], 4, 0.02, 2);
    const v = vectors(2);
    const solution = await lissa(
      denseOperator(mean),
      denseChainRunner([shards[0]!, shards[0]!], v, 0.02),
      v,
      {
        ...{ ...defaults, scale: 2, batchSize: 64, depth: 7, blockSize: 5, samples: 2 },
      },
    );
    const expected = [0, 1].flatMap((k) => {
      const column = v.subarray(4 * k, 4 * k + 4);
      let s = Array.from(column);
      for (let t = 0; t < 14; t += 1) {
        const hs = times(mean, s);
        s = s.map((x, i) => column[i]! + x - hs[i]! / 2);
      }
      return s.map((x) => x / 2);
    });
    expect(relativeError(solution.solutions, expected)).toBeLessThan(1e-13);
    expect(Math.max(...solution.standardErrors!)).toBeLessThan(1e-14);
  });

  it('lissa: the size of the blocks and the order in which chains run change no bit', async () => {
    const { shards, mean, vectors } = logistic([12, 13], 3, 0.1, 4);
    const v = vectors(5);
    const solve = async (blockSize: number, delay: () => Promise<void>) => {
      const runner = denseChainRunner(shards, v, 0.1);
      const delayed = {
        ...runner,
        run: async (task: Parameters<typeof runner.run>[0]) => (await delay(), runner.run(task)),
      };
      const options = { ...defaults, batchSize: 4, depth: 3, samples: 2, blockSize, seed: 11 };
      return [...(await lissa(denseOperator(mean), delayed, v, options)).solutions];
    };
    const random = generator(1);
    const reference = await solve(5, () => Promise.resolve());
    expect(
      await solve(2, () => new Promise((done) => setTimeout(done, Math.abs(random.next()) % 3))),
    ).toEqual(reference);
  });

  it('lissa: each chain visits every shard once a pass, in its own seeded order', async () => {
    const { shards, mean, vectors } = logistic([5, 5, 5, 5], 2, 0.1, 5);
    const v = vectors(2);
    const runner = denseChainRunner(shards, v, 0.1);
    await lissa(denseOperator(mean), runner, v, { ...defaults, depth: 3, samples: 2, blockSize: 1, seed: 7 });
    const visits = (sample: number, block: number) =>
      runner.tasks.filter((task) => task.sample === sample && task.block === block).map((task) => task.shard);
    expect(visits(0, 0)).toEqual(visits(0, 1));
    expect(visits(0, 0)).not.toEqual(visits(1, 0));
    for (let pass = 0; pass < 3; pass += 1)
      expect(
        visits(1, 1)
          .slice(4 * pass, 4 * pass + 4)
          .sort(),
      ).toEqual([0, 1, 2, 3]);
  });

  it('lissa: zero right-hand sides are zero, progress counts passes over the data', async () => {
    const { shards, mean, vectors } = logistic([6, 7], 2, 0.1, 6);
    const v = vectors(2).fill(0, 2);
    const seen: Progress[] = [];
    const solution = await lissa(denseOperator(mean), denseChainRunner(shards, v, 0.1), v, {
      ...{ ...defaults, depth: 4, samples: 3, blockSize: 1 },
      onProgress: (progress) => seen.push(progress),
    });
    expect(solution.columns).toEqual(['completed', 'converged']);
    expect([...solution.solutions.subarray(2)]).toEqual([0, 0]);
    // A pass for the true residual, and two for what the samples' spread is in it.
    expect(solution.products).toBeCloseTo(4 * 3 * 2 + 1 + 2, 10);
    expect(solution.residualHistory).toHaveLength(4);
    expect(seen).toHaveLength(4 * 3 * 2);
    expect(seen.at(-1)).toMatchObject({ measure: 'change', iteration: 4, iterations: 4 });
    expect(seen.at(-1)!.residuals[1]).toBe(0);
  });

  it('lissa: an error of one chain ends the solve with it, and the other chains stop', async () => {
    const runner = denseChainRunner([[toy]], ones);
    const reason = new Error('worker lost');
    const failing = {
      ...runner,
      run: (task: Parameters<typeof runner.run>[0]) =>
        task.sample === 1 && task.pass === 2 ? Promise.reject(reason) : runner.run(task),
    };
    await expect(lissa(denseOperator(toy), failing, ones, { ...defaults, samples: 3 })).rejects.toBe(reason);
    await new Promise((done) => setTimeout(done, 5));
    expect(runner.tasks.length).toBeLessThan(15);
  });

  it('lissa: an aborted signal ends it with the reason', async () => {
    const controller = new AbortController();
    const reason = new Error('cancelled by the user');
    const onProgress = ({ iteration }: Progress) => {
      if (iteration === 3) controller.abort(reason);
    };
    await expect(solveToy({ signal: controller.signal, onProgress })).rejects.toBe(reason);
  });

  it('lissa: a right-hand side that is not finite is refused before any work', async () => {
    const runner = denseChainRunner([[toy]], ones);
    await expect(lissa(denseOperator(toy), runner, Float64Array.of(1, NaN), defaults)).rejects.toThrow(
      RangeError,
    );
    expect(runner.tasks).toHaveLength(0);
  });

  it.each([0.01, 1, 4])(
    'lissa: scale %d is found out within a few steps, and a larger one takes its place',
    async (scale) => {
      const solution = await solveToy({ scale, depth: 400, restarts: 8 });
      expect(solution.status).toBe('completed');
      expect(relativeError(solution.solutions, [1.25, -1 / 12])).toBeLessThan(1e-6);
      const scales = [...solution.restarts.map((restart) => restart.scale), solution.scale];
      expect(scales.length).toBeGreaterThan(1);
      expect(scales[0]).toBe(scale);
      scales.slice(1).forEach((next, i) => expect(next).toBeGreaterThanOrEqual(2 * scales[i]!));
      if (scale <= 1) for (const { steps } of solution.restarts) expect(steps).toBeLessThan(10);
      // λmax is 8.36: no more than the doublings that it takes, and no scale far above.
      expect(solution.scale).toBeLessThan(4 * 8.36);
      expect(solution.advice).toContain('took its place');
    },
  );

  it('lissa: an indefinite Hessian is not tried with ever larger scales', async () => {
    const hessian = diagonal([1, -0.2]);
    const solution = await solveToy({ scale: 2, restarts: 8 }, hessian);
    expect(solution).toMatchObject({ status: 'diverged', restarts: [], scale: 2 });
    expect(solution.advice).toContain('indefinite');
  });

  it('lissa: which chains ran faster decides neither the scale nor a bit of the answer', async () => {
    const { shards, mean, vectors } = logistic([30, 30], 4, 0.05, 12);
    const v = vectors(4);
    const solve = async (delay: () => Promise<unknown>) => {
      const runner = denseChainRunner(shards, v, 0.05);
      const run = async (task: Parameters<typeof runner.run>[0]) => (await delay(), runner.run(task));
      const options = { scale: 0.05, batchSize: 1, depth: 4, samples: 2, restarts: 9, average: true };
      return lissa(denseOperator(mean), { ...runner, run }, v, { ...defaults, ...options });
    };
    const one = await solve(() => Promise.resolve());
    expect(one.restarts.length).toBeGreaterThan(0);
    const random = generator(3);
    const other = await solve(() => new Promise((done) => setTimeout(done, Math.abs(random.next()) % 3)));
    expect(other.restarts).toEqual(one.restarts);
    expect([...other.solutions]).toEqual([...one.solutions]);
  });

  it('lissa: the first shard goes in tasks that grow, the others whole, and that changes no number', async () => {
    const { shards, mean, vectors } = logistic([40, 40], 3, 0.1, 8);
    const v = vectors(1);
    const runner = denseChainRunner(shards, v, 0.1);
    const { solutions } = await lissa(denseOperator(mean), runner, v, { ...defaults, depth: 1 });
    expect(runner.tasks.map(({ minibatches }) => minibatches)).toEqual([
      { start: 0, end: 8 },
      { start: 8, end: 24 },
      { start: 24, end: 40 },
      { start: 0, end: 40 },
    ]);
    let state: ChainState = v;
    for (const shard of runner.shardOrder(0, 0, 0))
      state = await runner.run({ ...runner.tasks[0]!, shard, minibatches: { start: 0, end: 40 }, state });
    expect(
      relativeError(
        solutions,
        Array.from(state, (x) => x / 10),
      ),
    ).toBeLessThan(1e-14);
  });

  it('lissa: with a tolerance a column ends when its estimate is there, and its residual keeps the promise', async () => {
    const eigenvalues = fc.array(fc.double({ min: 0.05, max: 1, noNaN: true }), {
      minLength: 2,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(
        eigenvalues,
        fc.double({ min: 1e-3, max: 0.3, noNaN: true }),
        fc.nat(99),
        async (values, tolerance, seed) => {
          const size = values.length;
          const matrix = withSpectrum(values, [Array.from({ length: size }, (_, i) => 1 + ((seed + i) % 7))]);
          const random = generator(seed);
          const v = Float64Array.from({ length: 2 * size }, () => normal(random));
          for (const average of [false, true]) {
            const options = { scale: 1, depth: 10_000, tolerance, average, blockSize: 2 };
            const solution = await lissa(denseOperator(matrix), denseChainRunner([[matrix]], v), v, {
              ...{ ...defaults, ...options },
            });
            expect(solution.columns).toEqual(['converged', 'converged']);
            for (const k of [0, 1]) {
              const s = solution.solutions.subarray(k * size, (k + 1) * size);
              const truth = relativeError(times(matrix, s), v.subarray(k * size, (k + 1) * size));
              // Without noise, and with a scale that makes every factor 1 − μ/scale positive, residuals only fall.
              expect(truth).toBeLessThanOrEqual(tolerance);
              expect(solution.trueResiduals[k]).toBeCloseTo(truth, 10);
            }
          }
        },
      ),
      { numRuns: 40, seed: 2 },
    );
  });

  it('lissa: noise fools neither the estimate nor the mean of the tail, over twenty seeds', async () => {
    const { shards, mean, vectors } = logistic([60, 60], 4, 0.05, 10);
    const v = vectors(1);
    const options = { scale: 8, damping: 0.2, batchSize: 2, depth: 400, tolerance: 0.03, average: true };
    const solve = (seed: number, more = {}) =>
      lissa(denseOperator(mean), denseChainRunner(shards, v, 0.05), v, {
        ...defaults,
        ...options,
        seed,
        ...more,
      });
    const last: number[] = [];
    for (let seed = 0; seed < 20; seed += 1) {
      const solution = await solve(seed);
      expect(solution.iterations).toBeLessThan(100);
      // What the estimate does not see, the noise of the minibatches over half the run, the true residual does.
      expect(solution.status).toBe('converged');
      expect(solution.trueResiduals[0]).toBeLessThan(0.03);
      const { iterations: depth } = solution;
      last.push(
        (await solve(seed, { depth, tolerance: undefined, average: false })).trueResiduals[0]! /
          solution.trueResiduals[0]!,
      );
    }
    last.sort((a, b) => a - b);
    expect(last[10]).toBeGreaterThan(1.5);
  });

  it('lissa: the error bar of the true residual is the noise that other seeds show', async () => {
    const { shards, mean, vectors } = logistic([25, 25], 4, 0.05, 13);
    const v = vectors(1);
    const damped = shifted(mean, 0.1);
    const errors: number[] = [];
    const images: number[][] = [];
    for (let seed = 0; seed < 60; seed += 1) {
      const solution = await lissa(denseOperator(mean), denseChainRunner(shards, v, 0.05), v, {
        ...{ ...defaults, scale: 6, damping: 0.1, batchSize: 2, depth: 12, samples: 10, seed },
      });
      errors.push(solution.residualErrors![0]! ** 2);
      images.push(times(damped, solution.solutions));
    }
    const centre = images[0]!.map((_, i) => images.reduce((sum, image) => sum + image[i]! / 60, 0));
    const spread = images.reduce((sum, image) => sum + difference(image, centre) ** 2 / 59, 0);
    const told = (errors.reduce((sum, error) => sum + error, 0) / 60) * dot(v, v);
    // Both are variances of about 60 · 4 normal values: two standard deviations of their ratio are about 0.35.
    expect(told / spread).toBeGreaterThan(0.65);
    expect(told / spread).toBeLessThan(1.5);
  });
});
