import { parameterLayout, type Network } from '../protocol/model.js';
import { linearize, prepareTangent, product } from '../worker/curvature/linearization.js';
import { bindNetwork } from '../worker/curvature/network.js';
import type { Engine } from '../worker/engines/engine.js';
import { engineNames } from '../worker/engines/names.js';
import { openEngine, type EngineTensor } from '../worker/engines/select.js';
import { machineRate, matmulRate } from './machine.js';
import { normals } from './measure.js';
import { networks, productFlops } from './networks.js';
import { benchSolve } from './solve.js';
import { report, type BenchRow } from './table.js';

const rows = 1024;
/** A product is measured at least three times, and for about this long. */
const seconds = 3;

interface Case {
  title: string;
  network: Network;
  count: number;
  /** Product rate ÷ this machine's float32 GEMM, for onnx. */
  rate: number;
  /** onnx ÷ wasm. */
  ratio: number;
}

const cases: Case[] = [
  { title: 'softmax regression 784-10', network: networks.softmax, count: 1, rate: 0.45, ratio: 2.2 },
  { title: 'softmax regression 784-10', network: networks.softmax, count: 16, rate: 0.7, ratio: 2.2 },
  { title: 'MLP 784-256-10', network: networks.mlp, count: 1, rate: 0.7, ratio: 3 },
  { title: 'MLP 784-1024-256-10 (1M)', network: networks.large, count: 1, rate: 0.7, ratio: 3 },
  { title: 'LeNet-like CNN', network: networks.cnn, count: 1, rate: 0.4, ratio: 1 },
];

/** Operations a second of CPU time of this thread, at best: other processes may take its core meanwhile. */
async function productRate(engine: Engine<EngineTensor>, { network, count }: Case): Promise<number> {
  const p = parameterLayout(network).count;
  const bound = bindNetwork(engine, network, normals(p, 1, 0.05));
  const labels = Int32Array.from({ length: rows }, (_, row) => row % 10);
  const linearization = linearize(engine, bound, { rows, features: normals(rows * 784, 2), labels });
  const tangent = prepareTangent(engine, bound, normals(count * p, 3), count);
  await product(engine, linearization, tangent);
  let best = Infinity;
  const until = performance.now() + 1000 * seconds;
  for (let i = 0; i < 3 || performance.now() < until; i++) {
    const before = process.cpuUsage();
    await product(engine, linearization, tangent);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / 1e6);
  }
  engine.dispose([...tangent.held, ...linearization.held, ...bound.held]);
  return (productFlops(network) * rows * count) / best;
}

const rates = new Map<string, Map<Case, number>>();
let gemm = machineRate();
process.stderr.write(gemm === undefined ? 'GEMM rate: of the fastest engine, as NumPy is not here\n' : '');
for (const name of engineNames) {
  // A software GPU says nothing of a GPU, and takes minutes.
  if (name.endsWith('webgpu') && !process.argv.includes('--webgpu')) continue;
  const opened = await openEngine(name).catch((error: Error) => error);
  if (opened instanceof Error) {
    process.stderr.write(`${name}: ${opened.message}\n`);
    continue;
  }
  process.stderr.write(`${name}: ${opened.engine.version} …\n`);
  gemm ??= await matmulRate(opened.engine);
  const own = new Map<Case, number>();
  for (const each of cases) own.set(each, await productRate(opened.engine, each));
  rates.set(name, own);
}

const results = cases.flatMap((each): BenchRow[] => {
  const title = `${each.title}, K = ${each.count}, ${rows} rows`;
  const of = (name: string) => rates.get(name)?.get(each) ?? NaN;
  for (const name of rates.keys())
    process.stderr.write(`${title}: ${name} ${(of(name) / 1e9).toFixed(1)} GFLOP/s\n`);
  const row = (metric: string, value: number, goal: number) => ({ case: title, metric, value, goal });
  return [
    row(`onnx: product rate ÷ GEMM (${(gemm! / 1e9).toFixed(0)} GFLOP/s)`, of('onnx') / gemm!, each.rate),
    row('onnx ÷ wasm', of('onnx') / of('wasm'), each.ratio),
  ].map((measured) => ({ ...measured, better: 'higher' }));
});
report([...results, ...(await benchSolve())]);
