import { generator, permutation } from '../../protocol/random.js';
import type { BlockRef } from '../../protocol/tasks.js';
import { ChainScheduler } from '../chain-scheduler.js';
import type { ChainRunner, ChainState, ChainTask } from '../solvers/chains.js';
import { isTransient } from '../transient.js';
import type { Context } from './context.js';

/** A task that fails this often by the machinery's fault ends the job. */
const triesPerTask = 8;

/** LiSSA chains on the farm: each task goes to a worker with a free thread; its right-hand sides are sent once. */
export class FarmChainRunner implements ChainRunner {
  readonly shards: readonly { rows: number }[];
  #context: Context;
  #rhs: Float64Array;
  #scheduler = new ChainScheduler();
  #blocks = new Map<string, Promise<BlockRef>>();
  /** Wakes tasks that wait for a thread, the longest waiting first. */
  #waiting = new Set<() => void>();

  constructor(context: Context, rightHandSides: Float64Array) {
    this.#context = context;
    this.#rhs = rightHandSides;
    this.shards = context.prepared.manifest.shards;
  }

  shardOrder(seed: number, sample: number, pass: number): Int32Array {
    return permutation(this.shards.length, generator(seed, sample, pass));
  }

  async run({
    sample,
    columns,
    pass,
    shard,
    seed,
    batchSize,
    scale,
    shrink,
    state,
  }: ChainTask): Promise<ChainState> {
    const { operator, prepared } = this.#context;
    const count = columns.end - columns.start;
    const products = (count * this.shards[shard]!.rows) / prepared.manifest.rows;
    const rhs = await this.#block(columns);
    const task = { shard, rhs, count, batchSize, shrink, scale, seeds: [seed, sample, pass, shard] };
    for (let tries = 1; ; tries++) {
      const worker = await this.#take(shard);
      try {
        return await operator.runChain(worker, task, Float32Array.from(state), products);
      } catch (error) {
        if (!isTransient(error) || tries >= triesPerTask) throw error;
      } finally {
        this.#scheduler.done(worker);
        const [longest] = this.#waiting;
        longest?.();
      }
    }
  }

  /** A worker with a free thread, as soon as there is one. */
  async #take(shard: number): Promise<string> {
    const { farm, signal } = this.#context;
    for (;;) {
      const worker = this.#scheduler.take(shard, await farm.atLeastOne(signal));
      if (worker) return worker;
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          stop();
          signal.removeEventListener('abort', wake);
          resolve();
        };
        const stop = farm.onChange(wake);
        signal.addEventListener('abort', wake);
        this.#waiting.add(wake);
      });
    }
  }

  #block({ start, end }: { start: number; end: number }): Promise<BlockRef> {
    const { operator } = this.#context;
    const key = `${start}-${end}`;
    let block = this.#blocks.get(key);
    if (!block) {
      const values = this.#rhs.subarray(start * operator.size, end * operator.size);
      block = operator.share(Float32Array.from(values));
      this.#blocks.set(key, block);
    }
    return block;
  }
}
