import { startLocalFarm } from '../cli/farm.js';
import { readMnist } from '../datasets/read-mnist.js';
import { parameterLayout } from '../protocol/model.js';
import { importRows } from './import-rows.js';
import { networks } from './networks.js';
import type { BenchRow } from './table.js';

const [workers, samples] = [2, 4];

/** LiSSA chains on a farm: two for each worker's thread. */
export async function benchChains(): Promise<BenchRow[]> {
  const local = await startLocalFarm({ workers, threads: 1, engine: 'wasm', say: () => {} });
  try {
    const { client } = local;
    const problem = { model: 'softmax', dataset: 'digits' };
    await importRows(client, problem.dataset, await readMnist('train'));
    const zeros = new Float32Array(parameterLayout(networks.softmax).count);
    await (await client.models()).put({ ...networks.softmax, name: problem.model }, zeros, true);
    const method = { name: 'lissa', scale: 10, batchSize: 256, depth: 4, samples } as const;
    const rhs = { kind: 'gradient' as const, dataset: problem.dataset, rows: [0] };
    const { id } = await client.submit({ ...{ type: 'solve', ...problem }, damping: 0.01, rhs, method });
    const { report } = await client.wait(id);
    return [
      {
        case: `LiSSA, softmax regression on MNIST, ${samples} chains on ${workers} workers`,
        metric: 'time that the least busy worker computes',
        value: Math.min(...Object.values(report.lissa!.utilisation!)),
        goal: 0.85,
        better: 'higher',
      },
    ];
  } finally {
    await local.stop();
  }
}
