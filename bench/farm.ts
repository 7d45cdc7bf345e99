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
const warmUps = 10;
const applies = 30;

interface Rate {
  /** Seconds of one apply, the median over all. */
  wall: number;
  /** Seconds of one apply in which its slowest worker did not compute, the median over all. */
  idle: number;
}

/** The whole way: real processes, a real broker, MNIST's 60,000 rows. */
export async function benchFarm(): Promise<BenchRow[]> {
  const one = await withFarm(1, async (operator) => ({
    one: await rate(operator, 1),
    ten: await rate(operator, 10),
  }));
  const two = await withFarm(2, async (operator) => ({
    one: await rate(operator, 1),
    ten: await rate(operator, 10),
  }));
  const title = 'softmax regression, p = 7,850, 60,000 rows of MNIST';
  return [
    {
      case: title,
      metric: 'applies/s at K = 10, two workers ÷ one',
      value: one.ten.wall / two.ten.wall,
      goal: 1.7,
      better: 'higher',
    },
    {
      case: title,
      metric: 'applies/s at K = 1, two workers ÷ one',
      value: one.one.wall / two.one.wall,
      goal: 1.7,
      better: 'higher',
    },
    {
      case: title,
      metric: 'ms an apply beyond the arithmetic',
      value: 1000 * two.one.idle,
      goal: 5,
      better: 'lower',
    },
    {
      case: title,
      metric: 'apply K = 10 ÷ K = 1',
      value: two.ten.wall / two.one.wall,
      goal: 7,
      better: 'lower',
    },
  ];
}

async function rate(operator: DistributedOperator, count: number): Promise<Rate> {
  const block = Float64Array.from(normals(count * operator.size, 4));
  const busyOf = () => new Map([...operator.stats].map(([id, { busySeconds }]) => [id, busySeconds]));
  for (let i = 0; i < warmUps; i++) await operator.multiply(block, count);
  const walls: number[] = [];
  const idles: number[] = [];
  for (let i = 0; i < applies; i++) {
    const before = busyOf();
    const began = performance.now();
    await operator.multiply(block, count);
    const wall = (performance.now() - began) / 1000;
    walls.push(wall);
    // An apply takes as long as the slowest worker of that apply.
    idles.push(wall - Math.max(...[...busyOf()].map(([id, seconds]) => seconds - (before.get(id) ?? 0))));
  }
  return { wall: median(walls), idle: median(idles) };
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
