import { startLocalFarm } from '../cli/farm.js';
import { DistributedOperator } from '../coordinator/distributed-operator.js';
import { Farm } from '../coordinator/farm.js';
import { readMnist } from '../datasets/read-mnist.js';
import { manifestDigest } from '../datasets/registry.js';
import type { Client } from '../protocol/client.js';
import type { Manifest } from '../protocol/dataset.js';
import { cutLeaves } from '../protocol/leaves.js';
import { parameterLayout } from '../protocol/model.js';
import { importRows } from './import-rows.js';
import { median, normals } from './measure.js';
import { networks } from './networks.js';
import type { BenchRow } from './table.js';

const network = networks.softmax;
const leafRows = 1024;
/** So that V8 has compiled what an apply runs through, which takes the second core for some seconds. */
const warmUps = 30;
const rounds = 4;
const appliesARound = 10;

interface Rate {
  /** Seconds of one apply, the median over all. */
  wall: number;
  /** Seconds of one apply in which its slowest worker had no task, the median over all. */
  unheld: number;
  /** Seconds of one apply in which its slowest worker did not compute, the median over all. */
  idle: number;
}

/**
 * The whole way: real processes, a real broker, MNIST's 60,000 rows. A farm of one worker and a farm of two take turns,
 * so that a machine that is slower for a while is slower for both.
 */
export async function benchFarm(): Promise<BenchRow[]> {
  return withFarm(1, (alone) =>
    withFarm(2, async (both) => {
      const [one, two] = await rates([alone, both], 1);
      const [oneTen, twoTen] = await rates([alone, both], 10);
      const title = 'softmax regression, p = 7,850, 60,000 rows of MNIST';
      const row = (metric: string, value: number, goal: number, better: BenchRow['better']) => ({
        ...{ case: title, metric, value, goal, better },
      });
      process.stderr.write(
        `${title}: ${(1000 * two!.idle).toFixed(1)} ms of an apply beyond the arithmetic, the workers' own included\n`,
      );
      return [
        row('applies/s at K = 10, two workers ÷ one', oneTen!.wall / twoTen!.wall, 1.7, 'higher'),
        row('applies/s at K = 1, two workers ÷ one', one!.wall / two!.wall, 1.7, 'higher'),
        row('ms an apply of coordinator and broker', 1000 * two!.unheld, 5, 'lower'),
        row('apply K = 10 ÷ K = 1', twoTen!.wall / two!.wall, 7, 'lower'),
      ];
    }),
  );
}

async function rates(operators: readonly DistributedOperator[], count: number): Promise<Rate[]> {
  const block = Float64Array.from(normals(count * operators[0]!.size, 4));
  const measured = operators.map((operator) => ({ operator, times: [] as Rate[] }));
  for (const { operator } of measured)
    for (let i = 0; i < warmUps; i++) await operator.multiply(block, count);
  for (let round = 0; round < rounds; round++)
    for (const { operator, times } of measured)
      for (let i = 0; i < appliesARound; i++) times.push(await apply(operator, block, count));
  return measured.map(({ times }) => {
    const medianOf = (name: keyof Rate) => median(times.map((time) => time[name]));
    return { wall: medianOf('wall'), unheld: medianOf('unheld'), idle: medianOf('idle') };
  });
}

async function apply(operator: DistributedOperator, block: Float64Array, count: number): Promise<Rate> {
  const statsNow = () => new Map([...operator.stats].map(([id, stats]) => [id, { ...stats }]));
  const before = statsNow();
  const began = performance.now();
  await operator.multiply(block, count);
  const wall = (performance.now() - began) / 1000;
  const least = (name: 'busySeconds' | 'heldSeconds') =>
    wall - Math.max(...[...statsNow()].map(([id, after]) => after[name] - (before.get(id)?.[name] ?? 0)));
  return { wall, unheld: least('heldSeconds'), idle: least('busySeconds') };
}

async function withFarm<T>(workers: number, work: (operator: DistributedOperator) => Promise<T>): Promise<T> {
  const local = await startLocalFarm({ workers, threads: 1, engine: 'wasm', say: () => {} });
  const { nc, names } = local.client;
  const farm = new Farm(nc, names, 'bench');
  try {
    const manifest = await importMnist(local.client);
    const dataset = { name: manifest.name, sha256: manifestDigest(manifest) };
    const p = parameterLayout(network).count;
    const leaves = cutLeaves(manifest.shards, leafRows).length;
    await farm.atLeastOne(AbortSignal.timeout(10_000));
    while (farm.workers().length < workers) await farm.changed(AbortSignal.timeout(10_000));
    const operator = new DistributedOperator(
      farm,
      { operator: 'bench', network, dataset, leafRows, curvature: 'hessian', hvp: { mode: 'exact' } },
      { parameters: p, weight: manifest.rows, leaves, l2: new Float64Array(p) },
      AbortSignal.timeout(300_000),
    );
    try {
      await operator.moveTo(normals(p, 1, 0.05));
      return await work(operator);
    } finally {
      operator.close();
    }
  } finally {
    farm.close();
    await local.stop();
  }
}

export async function importMnist(client: Client): Promise<Manifest> {
  return importRows(client, 'mnist-train', await readMnist('train'));
}
