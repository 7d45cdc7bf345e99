import { expect, it } from '@jest/globals';
import { l2Diagonal } from '../../../protocol/model.js';
import { runLissa } from '../../../worker/curvature/lissa-step.js';
import { linearize } from '../../../worker/curvature/linearization.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { openEngine } from '../../../worker/engines/select.js';
import { describeEngines } from '../../support/describe-engines.js';
import { referenceHvp, relativeError } from '../../support/reference.js';
import { randomProblem } from './problem.js';

const shape = {
  width: 4,
  units: [4, 3],
  activation: 'tanh',
  loss: 'softmaxCrossEntropy',
  useBias: true,
} as const;
const batchSize = 5;

function setup() {
  const problem = randomProblem(shape, 13, 71);
  const minibatches = [
    [4, 0, 9, 1, 12],
    [2, 3, 11, 7, 8],
    [5, 6, 10],
  ].map((rows) => ({
    indices: Int32Array.from(rows),
    weight: rows.length / batchSize,
  }));
  return { ...problem, minibatches };
}

describeEngines('runLissa on %s', (name) => {
  it('equals the float64 recursion, a short minibatch weighted by its rows', async () => {
    const { engine } = await openEngine(name);
    const { network: plain, parameters, batch, referenceRows, uniform, minibatches } = setup();
    const network = { ...plain, l2: 0.05, l2Biases: false };
    const l2 = l2Diagonal(network);
    const p = parameters.length;
    const [state, v] = [uniform(2 * p), uniform(2 * p)];
    const options = { shrink: 1 - 0.3 / 8, scale: 8, rowWeight: 1.25 };
    const before = engine.memory();
    const bound = bindNetwork(engine, network, parameters);
    const shard = linearize(engine, bound, batch);
    const result = await runLissa(engine, shard, state, v, 2, minibatches, options);
    engine.dispose([...shard.held, ...bound.held]);
    expect(engine.memory()).toEqual(before);

    for (const k of [0, 1]) {
      let s = Float64Array.from(state.subarray(k * p, (k + 1) * p));
      for (const { indices, weight } of minibatches) {
        const rows = Array.from(indices, (row) => referenceRows[row]!);
        const hs = referenceHvp(network, parameters, rows, s);
        s = s.map((value, i) => {
          const curvature = hs[i]! / (rows.length * options.rowWeight) + l2[i]! * value;
          const full = v[k * p + i]! + options.shrink * value - curvature / options.scale;
          return (1 - weight) * value + weight * full;
        });
      }
      const values = result.state.subarray(k * p, (k + 1) * p);
      // A few float32 roundings of the state and the product a step.
      expect(relativeError(values, s)).toBeLessThan(1e-6);
      expect(result.maxAbs[k]).toBe(Math.max(...values.map(Math.abs)));
    }
  });

  it('shows a chain that left the finite numbers', async () => {
    const { engine } = await openEngine(name);
    const { network, parameters, batch, minibatches } = setup();
    const bound = bindNetwork(engine, network, parameters);
    const shard = linearize(engine, bound, batch);
    const huge = new Float32Array(parameters.length).fill(3e38);
    const options = { shrink: 1, scale: 1e-3, rowWeight: 1 };
    const { maxAbs } = await runLissa(engine, shard, huge, huge, 1, minibatches, options);
    expect(Number.isFinite(maxAbs[0])).toBe(false);
    engine.dispose([...shard.held, ...bound.held]);
  });
});
