import { describe, expect, it } from '@jest/globals';
import { symmetricEigen } from '../../../coordinator/dense/symmetric-eigen.js';
import { changeOfRoute, type Situation } from '../../../coordinator/solvers/automatic-choice.js';
import { automatic, type AutomaticOptions } from '../../../coordinator/solvers/automatic.js';
import { conjugateGradient } from '../../../coordinator/solvers/conjugate-gradient.js';
import { lowRankPreconditioner, nystrom } from '../../../coordinator/solvers/nystrom.js';
import type { Solution } from '../../../coordinator/solvers/types.js';
import { row } from '../../../coordinator/solvers/vectors.js';
import { normals, spread, withOutliers } from '../../support/spectra.js';

/** diag(values), by products in float32. */
function operatorOf(values: readonly number[]) {
  const size = values.length;
  const operator = {
    size,
    vectors: 0,
    multiply(block: Float64Array, count: number) {
      operator.vectors += count;
      return Promise.resolve(block.map((value, i) => Math.fround(Math.fround(value) * values[i % size]!)));
    },
  };
  return operator;
}
type Counted = ReturnType<typeof operatorOf>;

const random = (size: number) => (index: number) => Float64Array.from(normals(size, 1000 + index));
const solutionsOf = (values: readonly number[], v: Float64Array, damping: number) =>
  v.map((value, i) => value / (values[i % values.length]! + damping));

/** The dense solve of a farm: p products, and one for the check. */
const dense = (operator: Counted, values: readonly number[], v: Float64Array, damping: number) => ({
  seconds: 0,
  solve: (): Promise<Solution> => {
    const count = v.length / values.length;
    operator.vectors += values.length + count;
    return Promise.resolve({
      ...{ solutions: solutionsOf(values, v, damping), status: 'converged', advice: '' },
      ...{ columns: new Array<'converged'>(count).fill('converged'), iterations: 1 },
      ...{
        products: values.length + 1,
        residualHistory: [0],
        trueResiduals: new Array<number>(count).fill(0),
      },
    });
  },
});

function options(
  operator: Counted,
  values: readonly number[],
  v: Float64Array,
  own: { damping: number; tolerance: number } & Partial<AutomaticOptions>,
): AutomaticOptions {
  return {
    ...{ iterations: 1000, maxProducts: Infinity, floor: 0, random: random(values.length) },
    ...{ eigensolver: symmetricEigen, direct: dense(operator, values, v, own.damping) },
    ...own,
  };
}

/** Vectors multiplied by each method that is right for the whole problem from the start. */
async function byHand(
  values: readonly number[],
  v: Float64Array,
  own: { damping: number; tolerance: number },
): Promise<number> {
  const [size, count] = [values.length, v.length / values.length];
  const found = [size + count];
  for (const block of count > 1 ? [false, true] : [false])
    for (const rank of [0, 32, 128]) {
      const operator = operatorOf(values);
      const sketch = {
        ...{ damping: own.damping, firstRank: 16, maximumRank: Math.min(size, rank) },
        ...{ random: random(size), eigensolver: symmetricEigen },
      };
      const lowRank = rank > 0 ? await nystrom(operator, sketch) : undefined;
      const preconditioner = lowRank && lowRankPreconditioner(lowRank, own.damping);
      const { status } = await conjugateGradient(operator, v, {
        ...{ ...own, iterations: 1000, block, preconditioner },
        // What is already worse than another is not seen to its end.
        stop: () => operator.vectors > Math.min(...found),
      });
      if (status === 'converged') found.push(operator.vectors);
    }
  return Math.min(...found);
}

const powers = (size: number, largest: number, power: number) =>
  Array.from({ length: size }, (_, i) => largest * (i + 1) ** -power);
const lowRank = [...new Array<number>(380).fill(0), ...Array.from({ length: 20 }, (_, i) => 50 + i / 100)];

describe('automatic', () => {
  it.each([
    { name: 'a cluster of 20 and λ', values: lowRank, damping: 0.1, count: 1, tolerance: 1e-6, route: 'cg' },
    {
      name: 'a cluster of 20 and λ',
      values: lowRank,
      damping: 0.1,
      count: 100,
      tolerance: 1e-3,
      route: 'cg',
    },
    { name: 'flat', values: spread(400, 3), damping: 0.1, count: 1, tolerance: 1e-6, route: 'cg' },
    { name: 'flat', values: spread(400, 3), damping: 0.1, count: 10, tolerance: 1e-6, route: 'cg' },
    { name: 'flat', values: spread(400, 3), damping: 0.1, count: 100, tolerance: 1e-6, route: 'direct' },
    {
      name: 'outliers',
      values: withOutliers(400, 12, 1e4),
      damping: 0.1,
      count: 1,
      tolerance: 1e-3,
      route: 'nystrom',
    },
    {
      name: 'outliers',
      values: withOutliers(400, 12, 1e4),
      damping: 0.1,
      count: 10,
      tolerance: 1e-6,
      route: 'nystrom',
    },
    {
      name: 'ill-conditioned, power 2',
      values: powers(600, 1e4, 2),
      damping: 1e-2,
      count: 1,
      tolerance: 1e-6,
      route: 'nystrom',
    },
    {
      name: 'ill-conditioned, power 2',
      values: powers(600, 1e4, 2),
      damping: 1e-2,
      count: 10,
      tolerance: 1e-3,
      route: 'nystrom',
    },
    {
      name: 'ill-conditioned, power 1.5',
      values: powers(600, 1e3, 1.5),
      damping: 1e-2,
      count: 1,
      tolerance: 1e-3,
      route: 'nystrom',
    },
    {
      name: 'ill-conditioned, power 1',
      values: powers(600, 100, 1),
      damping: 1e-2,
      count: 10,
      tolerance: 1e-3,
      route: 'nystrom',
    },
    {
      name: 'ill-conditioned everywhere',
      values: spread(400, 1e6),
      damping: 0,
      count: 1,
      tolerance: 1e-6,
      route: 'direct',
    },
    { name: 'small p', values: spread(40, 1e3), damping: 0, count: 1, tolerance: 1e-6, route: 'direct' },
    { name: 'small p', values: spread(120, 1e5), damping: 0, count: 10, tolerance: 1e-6, route: 'direct' },
    { name: 'K beyond p', values: spread(40, 1e3), damping: 0, count: 100, tolerance: 1e-6, route: 'direct' },
  ])(
    'automatic: $name, λ = $damping, K = $count, to $tolerance: ends as $route, within 1.2 of the best by hand',
    async ({ values, damping, count, tolerance, route }) => {
      const v = Float64Array.from(normals(count * values.length, 5));
      const operator = operatorOf(values);
      const own = { damping, tolerance };
      const solution = await automatic(operator, v, options(operator, values, v, own));
      expect(solution.status).toBe('converged');
      expect(solution.steps.at(-1)!.route).toBe(route);
      expect(operator.vectors).toBeLessThanOrEqual(1.2 * (await byHand(values, v, own)));
      for (let k = 0; k < count; k += 1) {
        const [s, vk] = [row(solution.solutions, k, values.length), row(v, k, values.length)];
        const left = Math.hypot(...vk.map((value, i) => value - (values[i]! + damping) * s[i]!));
        expect(left / Math.hypot(...vk)).toBeLessThan(1.01 * tolerance + 1e-6);
      }
    },
  );

  it('automatic: the steps told lead to the same bits', async () => {
    const values = powers(300, 1e4, 2);
    const v = Float64Array.from(normals(3 * 300, 6));
    const operator = operatorOf(values);
    const own = options(operator, values, v, { damping: 1e-2, tolerance: 1e-5, direct: undefined });
    const first = await automatic(operator, v, own);
    expect(first.steps.map(({ route }) => route)).toEqual(['cg', 'nystrom']);
    const again = await automatic(operator, v, { ...own, steps: first.steps });
    expect(again.steps).toEqual(first.steps);
    expect(again.solutions).toEqual(first.solutions);
  });

  it('automatic: eigenpairs that are kept spare the iterations that they stand for', async () => {
    const values = withOutliers(200, 12, 1e4);
    const v = Float64Array.from(normals(200, 7));
    const vectors = Array.from({ length: 12 }, (_, k) => {
      const vector = new Float64Array(200);
      vector[199 - k] = 1;
      return vector;
    });
    const kept = { values: Float64Array.from(values.slice(-12).reverse()), vectors, products: 0 };
    const vectorsWith = async (own: Partial<AutomaticOptions>) => {
      const operator = operatorOf(values);
      const all = options(operator, values, v, { damping: 0.1, tolerance: 1e-6, ...own });
      expect((await automatic(operator, v, all)).status).toBe('converged');
      return operator.vectors;
    };
    expect(await vectorsWith({ kept })).toBeLessThan((await vectorsWith({})) / 2);
  });

  it('automatic: no more vectors are multiplied than the budget has', async () => {
    const values = spread(400, 1e4);
    const v = Float64Array.from(normals(2 * 400, 8));
    for (const maxProducts of [10, 50, 200]) {
      const operator = operatorOf(values);
      const own = options(operator, values, v, { damping: 0, tolerance: 1e-6, maxProducts });
      const solution = await automatic(operator, v, own);
      expect(solution.status).toBe('iteration-limit');
      const left = v.map((value, i) => value - values[i % 400]! * solution.solutions[i]!);
      expect(Math.hypot(...row(left, 1, 400)) / Math.hypot(...row(v, 1, 400))).toBeCloseTo(
        solution.trueResiduals[1]!,
        5,
      );
      expect(operator.vectors).toBeLessThanOrEqual(maxProducts);
    }
  });
});

describe('changeOfRoute', () => {
  const situation: Situation = {
    ...{ size: 200_000, count: 10, tolerance: 1e-6, history: [0.8], width: 10, spent: 10 },
    ...{ budget: Infinity, seconds: 0.3, mostRank: 512, taken: ['cg'] },
  };

  it('changeOfRoute: Kronecker factors where products cost more than they do', () => {
    const kfac = { once: 10, each: 0.1 };
    expect(changeOfRoute({ ...situation, kfac })).toMatchObject({ route: 'kfac' });
    expect(changeOfRoute({ ...situation, kfac, seconds: 0.005 })).toBeUndefined();
    expect(changeOfRoute({ ...situation, kfac, taken: ['cg', 'kfac'] })).toBeUndefined();
    expect(changeOfRoute({ ...situation, kfac, budget: 20 })).toBeUndefined();
  });

  it('changeOfRoute: not to a dense matrix whose factors take longer than the products that they spare', () => {
    const slow = { ...situation, size: 300, history: [0.9, 0.8, 0.7, 0.65, 0.62, 0.6], spent: 60, direct: 2 };
    const tried: Situation = { ...slow, taken: ['cg', 'nystrom'], plain: 300 };
    expect(changeOfRoute(tried)).toMatchObject({ route: 'direct' });
    expect(changeOfRoute({ ...tried, seconds: 1e-3 })?.route).not.toBe('direct');
  });

  it('changeOfRoute: back to plain CG from a preconditioner that makes it worse', () => {
    const history = [1, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93];
    const worse: Situation = {
      ...situation,
      history,
      spent: 100,
      taken: ['cg', 'kfac', 'nystrom'],
      plain: 300,
    };
    expect(changeOfRoute(worse)).toMatchObject({ route: 'cg' });
    expect(changeOfRoute({ ...worse, taken: [...worse.taken, 'cg'] })).toBeUndefined();
  });
});
