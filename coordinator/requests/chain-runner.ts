import { generator, permutation } from '../../protocol/random.js';
import type { BlockRef } from '../../protocol/tasks.js';
import { ChainScheduler } from '../chain-scheduler.js';
import { rowsIn, type ChainRunner, type ChainState, type ChainTask } from '../solvers/chains.js';
import { isTransient } from '../transient.js';
import type { Context } from './context.js';

/** A task that fails this often by the machinery's fault ends the job. */
const triesPerTask = 8;

/** LiSSA chains on the farm: each task goes to a worker with a free thread, or waits on one; its right-hand sides are sent once. */
export class FarmChainRunner implements ChainRunner {
  readonly shards: readonly { rows: number }[];
  #context: Context;
  #rhs: Float64Array;
  #sampling: 'epoch' | 'replacement';
  #scheduler = new ChainScheduler();
  #blocks = new Map<string, Promise<BlockRef>>();
  /** From the first task to the last answer so far: the time, and what each worker had been busy for, both in seconds. */
  #span:
    { began: number; before: Map<string, number>; ended: number; after: Map<string, number> } | undefined;
  /** Wakes tasks that wait for a worker, the longest waiting first. */
  #waiting = new Set<() => void>();

  constructor(context: Context, rightHandSides: Float64Array, sampling: 'epoch' | 'replacement') {
    this.#context = context;
    this.#sampling = sampling;
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
    minibatches,
    seed,
    batchSize,
    scale,
    shrink,
    state,
  }: ChainTask): Promise<ChainState> {
    const { operator, prepared } = this.#context;
    const count = columns.end - columns.start;
    const rows = rowsIn(minibatches, this.shards[shard]!.rows, batchSize);
    const products = (count * rows) / prepared.manifest.rows;
    const rhs = await this.#block(columns);
    const { start: first, end } = minibatches;
    const task = {
      ...{ shard, rhs, count, batchSize, sampling: this.#sampling, first, end, shrink, scale },
      seeds: [seed, sample, pass, shard],
    };
    const values = state instanceof Float32Array ? state : Float32Array.from(state);
    const span = (this.#span ??= this.#beginSpan());
    for (let tries = 1; ; tries++) {
      const worker = await this.#take(shard);
      try {
        const next = await operator.runChain(worker, task, values, products);
        span.ended = seconds();
        span.after = this.#busy();
        return next;
      } catch (error) {
        if (!isTransient(error) || tries >= triesPerTask) throw error;
      } finally {
        this.#scheduler.done(worker);
        const [longest] = this.#waiting;
        longest?.();
      }
    }
  }

  /** Part of the time from the first task to the last answer that each worker's threads were busy; empty before. */
  utilisation(): Record<string, number> {
    if (!this.#span) return {};
    const { began, before, ended, after } = this.#span;
    const { stats } = this.#context.operator;
    return Object.fromEntries(
      [...after].map(([id, busy]) => [
        id,
        (busy - (before.get(id) ?? 0)) / stats.get(id)!.threads / (ended - began),
      ]),
    );
  }

  #beginSpan() {
    const [now, busy] = [seconds(), this.#busy()];
    return { began: now, before: busy, ended: now, after: busy };
  }

  #busy(): Map<string, number> {
    return new Map([...this.#context.operator.stats].map(([id, { busySeconds }]) => [id, busySeconds]));
  }

  /** A worker that takes one more task, as soon as there is one. */
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

const seconds = () => performance.now() / 1000;
