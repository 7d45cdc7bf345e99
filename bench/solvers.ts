import { startLocalFarm } from '../cli/farm.js';
import { formatNumber } from '../cli/terminal/format.js';
import { table } from '../cli/terminal/output.js';
import { conjugateGradient } from '../coordinator/solvers/conjugate-gradient.js';
import { importDataset } from '../datasets/import.js';
import { readMnist } from '../datasets/read-mnist.js';
import { DatasetRegistry } from '../datasets/registry.js';
import { openStore } from '../datasets/stores/open-store.js';
import type { Client } from '../protocol/client.js';
import type { Report } from '../protocol/jobs.js';
import { networkSchema, parameterLayout } from '../protocol/model.js';
import { Objects } from '../protocol/objects.js';
import type { RequestInput } from '../protocol/requests.js';
import { fastest, normals } from './measure.js';
import { networks } from './networks.js';
import { report, type BenchRow } from './table.js';

/*
 * Solvers on a farm of two wasm workers and MNIST's 10,000 test digits. The table of every run (passes over the data, seconds,
 * status, true residual) goes to standard error, the goals to standard output.
 */

type Method = Extract<RequestInput, { type: 'solve' }>['method'];
type Name = keyof typeof models;

const dense = (units: number, activation = 'linear') => ({ type: 'dense', units, activation });
const network = (layers: object[]) =>
  networkSchema.parse({ input: { shape: [784] }, layers, loss: 'softmaxCrossEntropy', l2: 0.01 });
const models = {
  softmax: { ...networks.softmax, l2: 0.01 },
  mlp: network([dense(250, 'tanh'), dense(10)]),
};

interface Run {
  method: string;
  problem: Name;
  count: number;
  report: Report;
}
const runs: Run[] = [];

async function solve(client: Client, problem: Name, count: number, method: Method): Promise<Report> {
  const { id } = await client.submit({
    type: 'solve',
    model: problem,
    dataset: 'digits',
    curvature: problem === 'mlp' ? 'gauss-newton' : 'hessian',
    rhs: { kind: 'gradient', dataset: 'digits', rows: Array.from({ length: count }, (_, i) => i) },
    damping: 0.01,
    method,
  });
  const { report: found } = await client.wait(id);
  const tolerance = 'tolerance' in method ? ` to ${method.tolerance}` : '';
  const block = 'block' in method && method.block ? 'block ' : '';
  runs.push({ method: `${block}${method.name}${tolerance}`, problem, count, report: found });
  process.stderr.write(`${runs.length}: ${block}${method.name}${tolerance}, K = ${count}\n`);
  return found;
}

function runsTable(): string {
  return table(
    [
      { title: 'problem' },
      { title: 'method' },
      { title: 'K', align: 'right' },
      { title: 'passes', align: 'right' },
      { title: 'seconds', align: 'right' },
      { title: 'status' },
      { title: 'true residual', align: 'right' },
    ],
    runs.map(({ problem, method, count, report: { products, seconds, status, columns } }) => [
      `${problem}, p = ${parameterLayout(models[problem]).count}`,
      method,
      String(count),
      formatNumber(products / count, 3),
      formatNumber(seconds.solving, 3),
      status,
      formatNumber(Math.max(...columns!.map(({ trueResidual }) => trueResidual ?? NaN)), 3),
    ]),
  );
}

/** Seconds of as many CG iterations for products that cost nothing: H = diag(1…2), 10 right-hand sides. */
async function recursionSeconds(size: number, count: number, iterations: number): Promise<number> {
  const operator = {
    size,
    multiply: (block: Float64Array) =>
      Promise.resolve(block.map((value, i) => value * (1 + (i % size) / size))),
  };
  const block = Float64Array.from(normals(count * size, 3));
  const free = await fastest(2, () => operator.multiply(block));
  const options = { damping: 0, tolerance: 1e-300, iterations, verify: false };
  return (await fastest(1, () => conjugateGradient(operator, block, options))) - iterations * free;
}

const local = await startLocalFarm({ workers: 2, threads: 1, engine: 'wasm', say: () => {} });
const rows: BenchRow[] = [];
try {
  const { client } = local;
  const shards = await Objects.open(client.nc, client.names.stores.shards);
  await importDataset({
    source: await readMnist('test'),
    name: 'digits',
    store: openStore('nats:', 'digits', shards),
    registry: await DatasetRegistry.open(client.nc, client.names),
    shuffleSeed: 0,
  });
  for (const [name, each] of Object.entries(models))
    await (await client.models()).put({ ...each, name }, normals(parameterLayout(each).count, 1, 0.05), true);

  const perVector = new Map<number, number>();
  for (const tolerance of [1e-3, 1e-6])
    for (const count of [1, 10, 100]) {
      const cg = await solve(client, 'softmax', count, { name: 'cg', tolerance });
      if (tolerance === 1e-3) perVector.set(count, cg.seconds.solving / cg.products);
      const others = [cg];
      if (count > 1)
        others.push(await solve(client, 'softmax', count, { name: 'cg', tolerance, block: true }));
      if (count === 100) continue;
      const auto = await solve(client, 'softmax', count, { name: 'auto', tolerance });
      rows.push({
        case: `softmax regression, K = ${count}, to ${tolerance}`,
        metric: 'seconds of auto ÷ best by hand',
        value: auto.seconds.solving / Math.min(...others.map(({ seconds }) => seconds.solving)),
        goal: 1.2,
        better: 'lower',
      });
    }
  for (const count of [1, 10])
    await solve(client, 'softmax', count, { name: 'newton-cg', averageTolerance: 1e-6 });
  await solve(client, 'softmax', 10, { name: 'lissa', scale: 20, depth: 20 });
  rows.push({
    case: 'softmax regression, cg to 1e-3',
    metric: 'product a vector, K = 100 ÷ K = 1',
    value: perVector.get(100)! / perVector.get(1)!,
    goal: 0.75,
    better: 'lower',
  });

  const iterations = 10;
  const size = parameterLayout(models.mlp).count;
  const mlp = await solve(client, 'mlp', 10, { name: 'cg', tolerance: 1e-12, maxIterations: iterations });
  rows.push({
    case: `MLP 784-250-10, p = ${size}, K = 10`,
    metric: 'recursion ÷ solve',
    value: (await recursionSeconds(size, 10, iterations)) / mlp.seconds.solving,
    goal: 0.05,
    better: 'lower',
  });
} finally {
  await local.stop();
}
process.stderr.write(`\n${runsTable()}\n`);
report(rows);
