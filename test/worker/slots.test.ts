import { expect, it } from '@jest/globals';
import { gaussianClusters } from '../../datasets/synthetic.js';
import { isOnGpu } from '../../worker/engines/names.js';
import { Slots } from '../../worker/slots.js';
import type { Sums } from '../../worker/thread-messages.js';
import { describeEngines } from '../support/describe-engines.js';
import { referenceHvp, relativeError } from '../support/reference.js';
import { withThreadFarm } from '../support/thread-farm.js';
import { randomProblem } from './curvature/problem.js';

describeEngines('Slots on %s', (engine) => {
  it('threads of their own, one on a GPU, multiply as float64 does, and end', async () => {
    const { network, parameters, uniform } = randomProblem(
      { width: 6, units: [5, 3], activation: 'tanh', loss: 'softmaxCrossEntropy', useBias: true },
      1,
      7,
    );
    const source = gaussianClusters({ rows: 40, width: 6, seed: 3 }, { classes: 3 });
    const vectors = uniform(parameters.length);
    const rows = Array.from({ length: 40 }, (_, row) => ({
      x: source.features.subarray(6 * row, 6 * (row + 1)),
      y: source.values.subarray(row, row + 1),
    }));
    await withThreadFarm(source, network, { shardRows: 20, leafRows: 10 }, async ({ input, serve }) => {
      const slots = await Slots.start(2, { engine, plugins: [], budget: 1e6 }, serve);
      try {
        expect(slots.started.engine).toBe(engine);
        expect(slots.count).toBe(isOnGpu(engine) ? 1 : 2);
        await slots.runEverywhere('open', input);
        const products = [0, slots.count - 1].map((slot) =>
          slots.run<Sums>(slot, 'multiply', {
            operator: 'test',
            point: { id: 1, parameters },
            leaves: [0, 1, 2, 3],
            vectors,
            count: 1,
          }),
        );
        const [first, second] = await Promise.all(products);
        expect(second!.value).toEqual(first!.value);
        expect(first!.value.nodes).toHaveLength(1);
        const expected = referenceHvp(network, parameters, rows, vectors);
        // Sums of 40 rows in float32; measured 2e-7.
        expect(relativeError(first!.value.values, expected)).toBeLessThan(3e-6);
      } finally {
        await slots.close();
      }
    });
  }, 240_000);
});
