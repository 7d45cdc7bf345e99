import type { ChainRunner, ChainState, ChainTask } from '../solvers/chains.js';
import type { Context } from './context.js';
import { minibatchesOf, minibatchOperator } from './minibatches.js';

/**
 * LiSSA chains whose minibatches are drawn from all rows of the dataset, in float64 on the coordinator: a step is one
 * round over the farm, in which every worker multiplies by the rows that lie in its leaves. To a chain the dataset is one
 * shard.
 */
export class GlobalChainRunner implements ChainRunner {
  readonly shards: readonly { rows: number }[];
  #context: Context;
  #rhs: Float64Array;
  #draw: ReturnType<typeof minibatchesOf>;

  constructor(context: Context, rightHandSides: Float64Array) {
    this.#context = context;
    this.#rhs = rightHandSides;
    this.#draw = minibatchesOf(context);
    this.shards = [{ rows: context.prepared.manifest.rows }];
  }

  shardOrder(): Int32Array {
    return Int32Array.of(0);
  }

  async run({
    sample,
    columns,
    pass,
    seed,
    batchSize,
    scale,
    shrink,
    ...task
  }: ChainTask): Promise<ChainState> {
    const { size } = this.#context.operator;
    const { rows } = this.shards[0]!;
    const most = Math.min(batchSize, rows);
    const count = columns.end - columns.start;
    const v = this.#rhs.subarray(columns.start * size, columns.end * size);
    const state = Float64Array.from(task.state);
    for (let step = task.minibatches.start; step < task.minibatches.end; step++) {
      this.#context.signal.throwIfAborted();
      const own = Math.min(most, rows - step * most);
      const minibatch = this.#draw(own, [seed, sample, pass, step]);
      const product = await minibatchOperator(this.#context, minibatch).multiply(state, count);
      const w = own / most;
      for (let i = 0; i < state.length; i++)
        state[i] = (1 - w) * state[i]! + w * (v[i]! + shrink * state[i]! - product[i]! / scale);
    }
    return state;
  }
}
