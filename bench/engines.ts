import { parameterLayout, type Network } from '../protocol/model.js';
import { linearize } from '../worker/curvature/linearization.js';
import { bindNetwork } from '../worker/curvature/network.js';
import type { Engine } from '../worker/engines/engine.js';
import { engineNames, isOnGpu, type EngineName } from '../worker/engines/names.js';
import { openEngine, type EngineTensor } from '../worker/engines/select.js';
import { largeMatmul, startMachineGemm, type MachineGemm } from './machine.js';
import { alternating, clocks, median, normals, ratio, turnSeconds, type Work } from './measure.js';
import { networks, productFlops } from './networks.js';
import { productWork } from './product-work.js';
import { benchSolve } from './solve.js';
import { report, type BenchRow } from './table.js';

const rows = 1024;

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

/** The product of a case, whatever it is made of. */
function workOf(engine: Engine<EngineTensor>, { network, count }: Case): Work {
  const bound = bindNetwork(engine, network, normals(parameterLayout(network).count, 1, 0.05));
  const labels = Int32Array.from({ length: rows }, (_, row) => row % 10);
  const linearization = linearize(engine, bound, { rows, features: normals(rows * 784, 2), labels });
  const work = productWork(engine, linearization, count);
  return {
    ...work,
    dispose() {
      work.dispose();
      engine.dispose([...linearization.held, ...bound.held]);
    },
  };
}

/** Other processes may take a thread's core meanwhile: CPU time. A GPU's passes on no thread. */
const clockOf = (name: string) => (isOnGpu(name) ? clocks.wall : clocks.cpu);

/**
 * Product rate ÷ GEMM of one thread, means of the same time, in turns: OpenBLAS's where Python with NumPy is there, else the
 * engine's own.
 */
async function rateOfGemm(
  engine: Engine<EngineTensor>,
  machine: MachineGemm | undefined,
  each: Case,
): Promise<{ ratio: number; gemm: number }> {
  const own = largeMatmul(engine);
  const known: number[] = [];
  const works = { own: machine ? undefined : own, product: workOf(engine, each) };
  const turns = await alternating(works, clocks.cpu, {
    async onRound() {
      if (machine) known.push(await machine.rate(turnSeconds));
    },
  });
  if (machine) own.dispose();
  const gemm = machine ? known : turns.own.map((seconds) => own.flops / seconds);
  return {
    ratio: median(turns.product.map((seconds, turn) => flops(each) / seconds / gemm[turn]!)),
    gemm: median(gemm),
  };
}

async function open(name: EngineName): Promise<Engine<EngineTensor> | undefined> {
  try {
    const { engine } = await openEngine(name);
    process.stderr.write(`${name}: ${engine.version}\n`);
    return engine;
  } catch (error) {
    process.stderr.write(`${name}: ${(error as Error).message}\n`);
    return undefined;
  }
}

const onnx = await open('onnx');
// A software GPU says nothing of a GPU, and takes minutes.
const asked = engineNames.filter(
  (name) => name !== 'onnx' && (!name.endsWith('webgpu') || process.argv.includes('--webgpu')),
);
const results: BenchRow[] = [];
if (onnx) {
  const machine = await startMachineGemm();
  for (const each of cases) {
    const { ratio: share, gemm } = await rateOfGemm(onnx, machine, each);
    results.push(row(each, `onnx: product rate ÷ GEMM (${gflops(gemm)})`, share, each.rate));
  }
  machine?.stop();
}
for (const name of asked) {
  const other = await open(name);
  if (!other) continue;
  for (const each of cases) {
    const works = { onnx: onnx && workOf(onnx, each), other: workOf(other, each) };
    // The engine cpu takes ten seconds for one product of the last two.
    const turns = await alternating(works, clockOf(name), { rounds: name === 'cpu' ? 1 : 9 });
    process.stderr.write(
      `${titleOf(each)}: ${name} ${gflops(flops(each) / Math.min(...turns.other))}, onnx ${gflops(flops(each) / Math.min(...turns.onnx))}\n`,
    );
    if (onnx)
      results.push(
        row(each, `onnx ÷ ${name}`, ratio(turns.other, turns.onnx), name === 'wasm' ? each.ratio : undefined),
      );
  }
}
report([...results, ...(await benchSolve())]);

function row(each: Case, metric: string, value: number, goal: number | undefined): BenchRow {
  return { case: titleOf(each), metric, value, goal, better: 'higher' };
}

function titleOf({ title, count }: Case): string {
  return `${title}, K = ${count}, ${rows} rows`;
}

function flops({ network, count }: Case): number {
  return productFlops(network) * rows * count;
}

function gflops(rate: number): string {
  return `${(rate / 1e9).toFixed(1)} GFLOP/s`;
}
