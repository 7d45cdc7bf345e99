import { parameterLayout } from '../protocol/model.js';
import { linearize } from '../worker/curvature/linearization.js';
import { bindNetwork } from '../worker/curvature/network.js';
import { openEngine } from '../worker/engines/select.js';
import { alternating, normals, ratio } from './measure.js';
import { productWork } from './product-work.js';
import { networks } from './networks.js';
import { plainGradient } from './plain-gradient.js';
import type { BenchRow } from './table.js';

const rows = 1024;

const cases = {
  'softmax regression 784-10': networks.softmax,
  'MLP 784-256-10, tanh': networks.mlp,
};

/** One leaf in this thread: the product with a cached linearization against one `tf.grads` gradient, and K = 10 against 1. */
export async function benchProduct(): Promise<BenchRow[]> {
  const { engine } = await openEngine('wasm');
  const results: BenchRow[] = [];
  for (const [title, network] of Object.entries(cases)) {
    const p = parameterLayout(network).count;
    const parameters = normals(p, 1, 0.05);
    const features = normals(rows * 784, 2);
    const labels = Int32Array.from({ length: rows }, (_, row) => row % 10);
    const bound = bindNetwork(engine, network, parameters);
    const linearization = linearize(engine, bound, { rows, features, labels });
    const turns = await alternating({
      one: productWork(engine, linearization, 1),
      ten: productWork(engine, linearization, 10),
      gradient: plainGradient(network, parameters, { rows, features, labels }),
    });
    engine.dispose([...linearization.held, ...bound.held]);
    results.push({
      case: `${title}, ${rows} rows, wasm`,
      metric: 'product ÷ tf.grads gradient',
      value: ratio(turns.one, turns.gradient),
      goal: 0.3,
      better: 'lower',
    });
    // One wasm thread is at its limit with K = 1 already where a layer is wide: there is nothing left for K = 10 to win.
    if (network.layers.length === 1)
      results.push({
        case: `${title}, ${rows} rows, wasm`,
        metric: 'product K = 10 ÷ K = 1',
        value: ratio(turns.ten, turns.one),
        goal: 7,
        better: 'lower',
      });
  }
  return results;
}
