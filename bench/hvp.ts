import { spawnSync } from 'node:child_process';
import * as tf from '@tensorflow/tfjs';
import { networkSchema, parameterLayout, type Network } from '../protocol/model.js';
import { evaluate, linearize, prepareTangent, product } from '../worker/curvature/linearization.js';
import { bindNetwork } from '../worker/curvature/network.js';
import type { Engine } from '../worker/engines/engine.js';
import { openEngine, type EngineTensor } from '../worker/engines/select.js';
import { fastest, normals } from './measure.js';
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

const dense = (units: number, activation = 'linear') => ({ type: 'dense', units, activation });
const network = (shape: number[], layers: object[]) =>
  networkSchema.parse({ input: { shape }, layers, loss: 'softmaxCrossEntropy' });

const cases: Case[] = [
  {
    title: 'softmax regression 784-10',
    network: network([784], [dense(10)]),
    goals: { one: 1.1, each: 0.75 },
  },
  {
    title: 'MLP 784-256-10',
    network: network([784], [dense(256, 'tanh'), dense(10)]),
    goals: { one: 1.1, each: 1.0, rate: 0.75, plain: 0.2 },
  },
  {
    title: 'LeNet-like CNN',
    network: network(
      [28, 28, 1],
      [
        { type: 'conv2d', filters: 6, kernelSize: [5, 5], padding: 'same', activation: 'tanh' },
        { type: 'averagePooling2d', poolSize: [2, 2] },
        { type: 'conv2d', filters: 16, kernelSize: [5, 5], activation: 'tanh' },
        { type: 'averagePooling2d', poolSize: [2, 2] },
        { type: 'flatten' },
        dense(120, 'tanh'),
        dense(84, 'tanh'),
        dense(10),
      ],
    ),
    goals: { one: 2.2 },
  },
  {
    title: 'MLP 784-1024-256-10 (1M)',
    network: network([784], [dense(1024, 'tanh'), dense(256, 'tanh'), dense(10)]),
    goals: { one: 1.1, rate: 0.75 },
  },
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
    const rate = denseFlops(network) * rows * many;
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

/** Floating-point operations of one product for a row and a right-hand side, counted in the matrix products alone. */
function denseFlops(network: Network): number {
  const kernels = parameterLayout(network).slices.filter(({ shape }) => shape.length === 2);
  // The first layer: a·V and aᵀ·Rδ. Every other one besides: Ra·W, Raᵀ·δ, Rδ·Wᵀ and δ·Vᵀ.
  return kernels.reduce((sum, { size }, index) => sum + 2 * size * (index === 0 ? 2 : 6), 0);
}

/** Operations a second of one large matMul. */
async function matmulRate(engine: Engine<EngineTensor>): Promise<number> {
  const n = 1024;
  const [a, b] = [4, 5].map((seed) => engine.upload(normals(n * n, seed), [n, n]));
  const best = await fastest(repeats, async () => {
    const c = engine.matmul(a!, b!);
    await engine.download(c);
    engine.dispose([c]);
  });
  engine.dispose([a!, b!]);
  return (2 * n ** 3) / best;
}

/** Operations a second of one thread of OpenBLAS, where Python with NumPy is there to ask. */
function machineRate(): number | undefined {
  const script =
    'import numpy,time\na=numpy.random.rand(1024,1024).astype("f");b=a.copy();best=9\n' +
    'for i in range(6):\n t=time.time();a@b;best=min(best,time.time()-t)\nprint(2*1024**3/best)';
  const env = { ...process.env, OPENBLAS_NUM_THREADS: '1', MKL_NUM_THREADS: '1' };
  const rate = Number(spawnSync('python3', ['-c', script], { env, encoding: 'utf8' }).stdout?.trim() || NaN);
  return Number.isFinite(rate) && rate > 0 ? rate : undefined;
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
