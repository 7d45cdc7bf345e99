import { describe, expect, it } from '@jest/globals';
import { gaussianClusters } from '../../datasets/synthetic.js';
import { parameterLayout } from '../../protocol/model.js';
import { openEngine } from '../../worker/engines/select.js';
import { linearizeLeaves } from '../../worker/tasks/linearize.js';
import { multiplyLeaves } from '../../worker/tasks/multiply.js';
import { Budget, ThreadOperator } from '../../worker/thread-operator.js';
import { withThreadFarm } from '../support/thread-farm.js';
import { randomProblem } from './curvature/problem.js';

const { network, parameters, uniform } = randomProblem(
  { width: 6, units: [5, 3], activation: 'tanh', loss: 'softmaxCrossEntropy', useBias: true },
  1,
  7,
);
const source = () => gaussianClusters({ rows: 120, width: 6, seed: 3 }, { classes: 3 });
const sizes = { shardRows: 30, leafRows: 15 };
const leaves = [0, 1, 2, 3, 4, 5, 6, 7];
const point = { id: 1, parameters };
const count = 2;
const vectors = uniform(count * parameterLayout(network).count);
const ask = { operator: 'test', point, leaves };

describe('ThreadOperator', () => {
  it('gives the same bits whether all, some or no linearizations are kept, and keeps within the budget', async () => {
    const { engine } = await openEngine('wasm');
    const results: unknown[] = [];
    const kept: number[] = [];
    for (const limit of [1e9, 7000, 0])
      await withThreadFarm(source(), network, sizes, async ({ input, shards, fetched }) => {
        const before = engine.memory();
        const budget = new Budget(limit);
        const operator = new ThreadOperator(input, engine, shards, budget);
        const gradient = await linearizeLeaves(operator, ask);
        fetched.length = 0;
        const first = await multiplyLeaves(engine, operator, { ...ask, vectors, count });
        const second = await multiplyLeaves(engine, operator, { ...ask, vectors, count });
        expect(second).toEqual(first);
        expect(budget.used).toBeLessThanOrEqual(limit);
        kept.push(budget.used);
        // All kept: no shard is read again. None: every product reads all of them.
        if (limit === 1e9) expect(fetched).toEqual([]);
        if (limit === 0) expect(fetched.filter((shard) => shard === 1)).toHaveLength(2);
        results.push({ gradient, first });
        operator.close();
        expect(budget.used).toBe(0);
        expect(engine.memory()).toEqual(before);
      });
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    expect(kept[1]).toBeGreaterThan(0);
    expect(kept[1]).toBeLessThan(kept[0]!);
    expect(kept[2]).toBe(0);
  });

  it('fetches every shard once a pass, the next one before it is needed', async () => {
    const { engine } = await openEngine('wasm');
    await withThreadFarm(source(), network, sizes, async ({ input, shards, fetched }) => {
      const operator = new ThreadOperator(input, engine, shards, new Budget(0));
      operator.moveTo(point);
      const planned = operator.plan(leaves);
      await operator.batch(planned[0]!);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(fetched).toEqual([0, 1]);
      for (const leaf of planned) await operator.batch(leaf);
      expect(fetched).toEqual([0, 1, 2, 3]);
      operator.close();
    });
  });

  it('a soak of 10,000 products, half of the linearizations kept, ends where it started', async () => {
    const { engine } = await openEngine('wasm');
    await withThreadFarm(source(), network, { ...sizes, cacheBytes: 1e6 }, async ({ input, shards }) => {
      const started = engine.memory();
      const budget = new Budget(4000);
      const operator = new ThreadOperator(input, engine, shards, budget);
      const some = { ...ask, leaves: [0, 1], vectors, count };
      const first = await multiplyLeaves(engine, operator, some);
      const [ready, used] = [engine.memory(), budget.used];
      expect(used).toBeGreaterThan(0);
      for (let i = 1; i < 5000; i++) await multiplyLeaves(engine, operator, some);
      expect(engine.memory()).toEqual(ready);
      expect(budget.used).toBe(used);
      expect(await multiplyLeaves(engine, operator, some)).toEqual(first);
      operator.close();
      expect(engine.memory()).toEqual(started);
    });
  }, 300_000);
});
