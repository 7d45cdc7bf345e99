import { parameterLayout, type Network } from '../protocol/model.js';
import type { Batch } from '../worker/curvature/batch.js';
import { evaluate, linearize } from '../worker/curvature/linearization.js';
import { bindNetwork } from '../worker/curvature/network.js';
import { distance, norm } from '../worker/curvature/vectors.js';
import type { Engine } from '../worker/engines/engine.js';
import { isEager, isOnGpu } from '../worker/engines/names.js';
import { openEngine, type EngineTensor } from '../worker/engines/select.js';
import { setTensorflowDefaults } from '../worker/engines/tensorflow/environment.js';
import { bestGradient, gradientFlops } from './best-gradient.js';
import { largeMatmul, startMachineGemm } from './machine.js';
import { alternating, clocks, median, normals, ratio, turnSeconds } from './measure.js';
import { networks, productFlops } from './networks.js';
import { plainGradient } from './plain-gradient.js';
import { productWork } from './product-work.js';
import { report, type BenchRow } from './table.js';

const rows = 512;
const many = 16;

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
  const bind = (description: Network) =>
    bindNetwork(engine, description, normals(parameterLayout(description).count, 1, 0.05));
  const bound = bind(network);
  const batch = batchOf(rows);
  const wide = goals.wider && bind(goals.wider);
  const best = bestGradient(engine, bound, batch);
  checkEqual(await best.run(), (await evaluate(engine, bound, batch)).gradient);
  const linearization = linearize(engine, bound, batch);
  const longer = linearize(engine, bound, batchOf(2 * rows));
  const wider = wide && linearize(engine, wide, batch);
  const matmul = largeMatmul(engine);
  const gemm: number[] = [];
  const turns = await alternating(
    {
      best,
      matmul,
      one: productWork(engine, linearization, 1),
      many: productWork(engine, linearization, many),
      twice: productWork(engine, longer, 1),
      wider: wider && productWork(engine, wider, 1),
      plain:
        goals.plain !== undefined && isEager(engine.name)
          ? plainGradient(network, normals(bound.layout.count, 1, 0.05), batch)
          : undefined,
    },
    clock,
    { onRound: async () => void gemm.push((await machine?.rate(turnSeconds)) ?? NaN) },
  );
  for (const { held } of [linearization, longer, bound, wider, wide].filter((each) => each !== undefined))
    engine.dispose(held);

  const flops = productFlops(network) * rows * many;
  const widening = wide ? wide.layout.count / bound.layout.count : NaN;
  const lower = (metric: string, value: number, goal: number | undefined) => ({ metric, value, goal });
  const higher = (metric: string, value: number, goal?: number) => ({
    ...{ metric, value, goal },
    better: 'higher' as const,
  });
  return [
    lower('product ÷ best gradient, K = 1', ratio(turns.one, turns.best), goals.one),
    lower(
      `product ÷ best gradient, a vector at K = ${many}`,
      ratio(turns.many, turns.best) / many,
      goals.each ?? goals.one,
    ),
    lower('product of twice the rows ÷ product', ratio(turns.twice, turns.one), 2.2),
    lower('product ÷ tf.grads gradient', ratio(turns.one, turns.plain), goals.plain),
    lower(
      `product of ${widening.toFixed(2)} times the parameters ÷ product`,
      ratio(turns.wider, turns.one),
      1.1 * widening,
    ),
    higher(
      `fraction of the engine's matMul rate, K = ${many}`,
      (ratio(turns.matmul, turns.many) * flops) / matmul.flops,
      goals.rate,
    ),
    higher(
      `fraction of this machine's float32 GEMM rate, K = ${many}`,
      median(turns.many.map((seconds, turn) => flops / seconds / gemm[turn]!)),
    ),
  ]
    .filter(({ value }) => Number.isFinite(value))
    .map((row) => ({ case: `${title}, ${rows} rows, ${engine.name}`, better: 'lower', ...row }));
}

function batchOf(count: number): Batch {
  return {
    rows: count,
    features: normals(count * 784, 2),
    labels: Int32Array.from({ length: count }, (_, row) => row % 10),
  };
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
const machine = await startMachineGemm();
/** The GPU's time passes on no thread of this process. */
const clock = isOnGpu(engine.name) ? clocks.wall : clocks.cpu;
const results: BenchRow[] = [];
for (const each of cases) {
  process.stderr.write(`${each.title} …\n`);
  results.push(...(await benchCase(engine, each)));
}
machine?.stop();
report(results);
