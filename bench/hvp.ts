import { parameterLayout, type Network } from '../protocol/model.js';
import type { Batch } from '../worker/curvature/batch.js';
import { evaluate, linearize } from '../worker/curvature/linearization.js';
import { bindNetwork } from '../worker/curvature/network.js';
import { columnsAtOnce, prepareSlabs, productOfSlabs } from '../worker/curvature/slabs.js';
import { distance, norm } from '../worker/curvature/vectors.js';
import type { Engine } from '../worker/engines/engine.js';
import { isOnGpu } from '../worker/engines/names.js';
import { openEngine, type EngineTensor } from '../worker/engines/select.js';
import { setTensorflowDefaults } from '../worker/engines/tensorflow/environment.js';
import { bestGradient, gradientFlops } from './best-gradient.js';
import { machineRate, matmulRate } from './machine.js';
import { clocks, fastest, normals } from './measure.js';
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
  /** The same with more parameters: the product should cost as much more. */
  wider?: Network;
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
    goals: { one: 1.1, each: 1.0, rate: 0.75, plain: 0.2, wider: networks.wide },
  },
  { title: 'LeNet-like CNN', network: networks.cnn, goals: { one: 2.2 } },
  {
    title: 'MLP 784-1024-256-10 (1M)',
    network: networks.large,
    // Its second layer takes six products where a gradient takes three, and is a quarter of it.
    goals: { one: 1.1 * (productFlops(networks.large) / gradientFlops(networks.large)), rate: 0.75 },
  },
];

async function benchCase(engine: Engine<EngineTensor>, { title, network, goals }: Case): Promise<BenchRow[]> {
  const { count: p } = parameterLayout(network);
  const parameters = normals(p, 1, 0.05);
  const batch = batchOf(rows);
  const bound = bindNetwork(engine, network, parameters);
  const best = bestGradient(engine, bound, batch);
  checkEqual(await best.run(), (await evaluate(engine, bound, batch)).gradient);
  const gradient = await fastestOf(() => best.run());
  best.dispose();
  engine.dispose(bound.held);
  const one = await productSeconds(engine, network, rows, 1);
  const sixteen = await productSeconds(engine, network, rows, many);

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
    row(
      'product of twice the rows ÷ product',
      (await productSeconds(engine, network, 2 * rows, 1)) / one,
      2.2,
    ),
  ];
  if (goals.plain !== undefined) {
    const plain = await plainGradient(network, parameters, batch, fastestOf);
    results.push(row('product ÷ tf.grads gradient', one / plain, goals.plain));
  }
  if (goals.wider !== undefined) {
    const ofP = parameterLayout(goals.wider).count / p;
    const seconds = await productSeconds(engine, goals.wider, rows, 1);
    results.push(
      row(`product of ${ofP.toFixed(2)} times the parameters ÷ product`, seconds / one, 1.1 * ofP),
    );
  }
  if (goals.rate !== undefined) {
    const rate = (productFlops(network) * rows * many) / sixteen;
    const whole = `fraction of the engine's matMul rate, K = ${many}`;
    results.push(row(whole, rate / (await matmulRate(engine, clock)), goals.rate, 'higher'));
    const machine = machineRate();
    if (machine !== undefined)
      results.push(
        row(`fraction of this machine's float32 GEMM rate, K = ${many}`, rate / machine, 0.2, 'higher'),
      );
  }
  return results;
}

function batchOf(count: number): Batch {
  return {
    rows: count,
    features: normals(count * 784, 2),
    labels: Int32Array.from({ length: count }, (_, row) => row % 10),
  };
}

/** Seconds of one product as a worker computes it: rows linearized, vectors on the device, answer downloaded. */
async function productSeconds(
  engine: Engine<EngineTensor>,
  network: Network,
  of: number,
  count: number,
): Promise<number> {
  const { count: p } = parameterLayout(network);
  const bound = bindNetwork(engine, network, normals(p, 1, 0.05));
  const linearization = linearize(engine, bound, batchOf(of));
  const atOnce = columnsAtOnce(network, of, 'hessian', engine.workBytes);
  const slabs = prepareSlabs(engine, bound, normals(count * p, 3), count, atOnce);
  const scratch = new Float32Array(count * p);
  const seconds = await fastestOf(() => productOfSlabs(engine, linearization, slabs, scratch));
  engine.dispose([...slabs.flatMap(({ held }) => held), ...linearization.held, ...bound.held]);
  return seconds;
}

/** A gradient that is fast and wrong would be no measure. */
function checkEqual(a: Float32Array, b: Float32Array): void {
  if (distance(a, b) > 1e-4 * norm(b)) throw new Error('the bench computes another gradient than the worker');
}

const words = process.argv.slice(2);
const named = words.find((word) => !word.startsWith('-'));
setTensorflowDefaults(named);
const { engine, reason } = await openEngine(named ?? 'auto');
process.stderr.write(`engine ${reason}\n`);
/** The GPU's time passes on no thread of this process. */
const clock = isOnGpu(engine.name) ? clocks.wall : clocks.cpu;
function fastestOf(work: () => Promise<unknown>): Promise<number> {
  return fastest(repeats, work, clock);
}

const results: BenchRow[] = [];
for (const each of cases) {
  process.stderr.write(`${each.title} …\n`);
  results.push(...(await benchCase(engine, each)));
}
report(results);
