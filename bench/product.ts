import type { Network } from '../protocol/model.js';
import { parameterLayout } from '../protocol/model.js';
import { linearize, prepareTangent, product } from '../worker/curvature/linearization.js';
import { bindNetwork } from '../worker/curvature/network.js';
import { openEngine } from '../worker/engines/select.js';
import { fastest, normals } from './measure.js';
import { plainGradient } from './plain-gradient.js';
import type { BenchRow } from './table.js';

const rows = 1024;
const repeats = 15;

const dense = (units: number, activation: 'linear' | 'tanh') => ({
  type: 'dense' as const,
  units,
  useBias: true,
  activation,
});
const networks: { title: string; network: Network }[] = [
  {
    title: 'softmax regression 784-10',
    network: { input: { shape: [784] }, layers: [dense(10, 'linear')], loss: 'softmaxCrossEntropy', l2: 0 },
  },
  {
    title: 'MLP 784-256-10, tanh',
    network: {
      input: { shape: [784] },
      layers: [dense(256, 'tanh'), dense(10, 'linear')],
      loss: 'softmaxCrossEntropy',
      l2: 0,
    },
  },
];

/** One leaf in this thread: the product with a cached linearization against one `tf.grads` gradient, and K = 10 against 1. */
export async function benchProduct(): Promise<BenchRow[]> {
  const { engine } = await openEngine('wasm');
  const results: BenchRow[] = [];
  for (const { title, network } of networks) {
    const p = parameterLayout(network).count;
    const parameters = normals(p, 1, 0.05);
    const features = normals(rows * 784, 2);
    const labels = Int32Array.from({ length: rows }, (_, row) => row % 10);
    const bound = bindNetwork(engine, network, parameters);
    const linearization = linearize(engine, bound, { rows, features, labels });
    const seconds = async (count: number) => {
      const tangent = prepareTangent(engine, bound, normals(count * p, 3), count);
      const best = await fastest(repeats, () => product(engine, linearization, tangent));
      engine.dispose(tangent.held);
      return best;
    };
    const one = await seconds(1);
    const ten = await seconds(10);
    const gradient = await plainGradient(network, parameters, { rows, features, labels });
    engine.dispose([...linearization.held, ...bound.held]);
    results.push({
      case: `${title}, ${rows} rows, wasm`,
      metric: 'product ÷ tf.grads gradient',
      value: one / gradient,
      goal: 0.3,
      better: 'lower',
    });
    // One wasm thread is at its limit with K = 1 already where a layer is wide: there is nothing left for K = 10 to win.
    if (network.layers.length === 1)
      results.push({
        case: `${title}, ${rows} rows, wasm`,
        metric: 'product K = 10 ÷ K = 1',
        value: ten / one,
        goal: 7,
        better: 'lower',
      });
  }
  return results;
}
