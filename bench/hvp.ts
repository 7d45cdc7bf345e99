import * as tf from '@tensorflow/tfjs';
import { parameterLayout, type Network } from '../protocol/model.js';
import { evaluate, linearize, prepareTangent, product } from '../worker/curvature/linearization.js';
import { bindNetwork } from '../worker/curvature/network.js';
import type { Engine } from '../worker/engines/engine.js';
import { openEngine, type EngineTensor } from '../worker/engines/select.js';
import { machineRate, matmulRate } from './machine.js';
import { fastest, normals } from './measure.js';
import { networks, productFlops } from './networks.js';
import { plainGradient } from './plain-gradient.js';
import { report, type BenchRow } from './table.js';

const rows = 512;
const many = 16;
const repeats = 5;

interface Goals {
  /** Product ÷ the engine's own best gradient, K = 1. */
  one: number;
  /** The same a vector at K = 16. */
  each?: number;
  /** Fraction of the engine's plain matMul rate, K = 16. */
  rate?: number;
  /** Product ÷ `tf.grads` gradient. */
  plain?: number;
}

interface Case {
  title: string;
  network: Network;
  goals: Goals;
}

const cases: Case[] = [
  { title: 'softmax regression 784-10', network: networks.softmax, goals: { one: 1.1, each: 0.75 } },
  {
    title: 'MLP 784-256-10',
    network: networks.mlp,
    goals: { one: 1.1, each: 1.0, rate: 0.75, plain: 0.2 },
  },
  { title: 'LeNet-like CNN', network: networks.cnn, goals: { one: 2.2 } },
  { title: 'MLP 784-1024-256-10 (1M)', network: networks.large, goals: { one: 1.1, rate: 0.75 } },
];

async function benchCase(engine: Engine<EngineTensor>, { title, network, goals }: Case): Promise<BenchRow[]> {
  const layout = parameterLayout(network);
  const p = layout.count;
  const parameters = normals(p, 1, 0.05);
  const batchOf = (count: number) => ({
    rows: count,
    features: normals(count * 784, 2),
    labels: Int32Array.from({ length: count }, (_, row) => row % 10),
  });
  const batch = batchOf(rows);
  const bound = bindNetwork(engine, network, parameters);
  const seconds = async (of: number, count: number) => {
    const linearization = linearize(engine, bound, batchOf(of));
    const tangent = prepareTangent(engine, bound, normals(count * p, 3), count);
    const best = await fastest(repeats, () => product(engine, linearization, tangent));
    engine.dispose([...tangent.held, ...linearization.held]);
    return best;
  };
  const gradient = await fastest(repeats, () => evaluate(engine, bound, batch));
  const one = await seconds(rows, 1);
  const sixteen = await seconds(rows, many);
  const double = await seconds(2 * rows, 1);
  engine.dispose(bound.held);

  const name = `${title}, ${rows} rows, ${engine.name}`;
  const row = (metric: string, value: number, goal: number, better: BenchRow['better'] = 'lower') => ({
    case: name,
    metric,
    value,
    goal,
    better,
  });
  const results = [
    row('product ÷ best gradient, K = 1', one / gradient, goals.one),
    row(
      `product ÷ best gradient, a vector at K = ${many}`,
      sixteen / many / gradient,
      goals.each ?? goals.one,
    ),
    row('product of twice the rows ÷ product', double / one, 2.2),
  ];
  if (goals.plain !== undefined)
    results.push(
      row(
        'product ÷ tf.grads gradient',
        one / (await plainGradient(network, parameters, batch)),
        goals.plain,
      ),
    );
  if (goals.rate !== undefined) {
    const rate = productFlops(network) * rows * many;
    results.push(
      row(
        `fraction of the engine's matMul rate, K = ${many}`,
        rate / sixteen / (await matmulRate(engine)),
        goals.rate,
        'higher',
      ),
    );
    const machine = machineRate();
    if (machine !== undefined)
      results.push(
        row(
          `fraction of this machine's float32 GEMM rate, K = ${many}`,
          rate / sixteen / machine,
          0.2,
          'higher',
        ),
      );
  }
  return results;
}

const words = process.argv.slice(2);
const named = words.find((word) => !word.startsWith('-'));
const { engine, reason } = await openEngine(named ?? 'auto');
process.stderr.write(`engine ${reason}; ${tf.getBackend()}\n`);
const results: BenchRow[] = [];
for (const each of cases) {
  process.stderr.write(`${each.title} …\n`);
  results.push(...(await benchCase(engine, each)));
}
report(results);
