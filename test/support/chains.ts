import type { ChainRunner, ChainTask } from '../../coordinator/solvers/chains.js';
import { generator, permutation } from '../../protocol/random.js';
import type { Matrix } from './dense.js';
import { times } from './dense.js';

/** Runs chains in float64 on per-row Hessians, written from the formula of `ChainRunner.run`. */
export function denseChainRunner(
  shards: Matrix[][],
  rightHandSides: Float64Array,
  l2 = 0,
): ChainRunner & { tasks: Omit<ChainTask, 'state'>[] } {
  const size = shards[0]![0]!.length;
  const tasks: Omit<ChainTask, 'state'>[] = [];
  return {
    tasks,
    shards: shards.map((rows) => ({ rows: rows.length })),
    shardOrder: (seed, sample, pass) => permutation(shards.length, generator(seed, sample, pass)),
    run({ state, ...task }) {
      tasks.push(task);
      const hessians = shards[task.shard]!;
      const rows = hessians.length;
      const order = permutation(rows, generator(task.seed, task.sample, task.pass, task.shard));
      const batch = Math.min(task.batchSize, rows);
      const next = Float64Array.from(state);
      const end = Math.min(rows, task.minibatches.end * batch);
      for (let first = task.minibatches.start * batch; first < end; first += batch) {
        const chosen = [...order.subarray(first, first + batch)];
        const weight = chosen.length / batch;
        for (let k = 0; k < task.columns.end - task.columns.start; k += 1) {
          const s = next.slice(k * size, (k + 1) * size);
          const hs = s.map((x) => l2 * x);
          for (const row of chosen) times(hessians[row]!, s).forEach((x, i) => (hs[i]! += x / chosen.length));
          for (let i = 0; i < size; i += 1) {
            const v = rightHandSides[(task.columns.start + k) * size + i]!;
            const full = v + task.shrink * s[i]! - hs[i]! / task.scale;
            next[k * size + i] = (1 - weight) * s[i]! + weight * full;
          }
        }
      }
      return Promise.resolve(next);
    },
  };
}
