import { generator, permutation } from '../../protocol/random.js';
import type { BlockRef } from '../../protocol/tasks.js';
import { ChainScheduler } from '../chain-scheduler.js';
import {
  rowsIn,
  type ChainRunner,
  type ChainState,
  type ChainStep,
  type ChainTask,
} from '../solvers/chains.js';
import { isTransient } from '../transient.js';
import type { Context } from './context.js';

/** A task that fails this often by the machinery's fault ends the job. */
const triesPerTask = 8;

interface Running {
  worker: string;
  id: number;
  /** Ends as the task is sent. */
  sent: Promise<void>;
  state: Promise<ChainState>;
}

/**
 * LiSSA chains on the farm: each task goes to a worker with a free thread, or waits on one; its right-hand sides are sent once.
 * Where no other chain wants the worker, a chain's next task is sent there before this one's answer is here, so that the
 * thread need not wait for the state to travel. It may turn out to have been begun in vain.
 */
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
  /** Tasks that want a worker: they have it before what is begun early. */
  #wanting = 0;
  /** What was begun early, by the state that it goes on from. */
  #begun = new WeakMap<ChainState, Running>();
  #tasks = 0;

  constructor(context: Context, rightHandSides: Float64Array, sampling: 'epoch' | 'replacement') {
    this.#context = context;
    this.#sampling = sampling;
    this.#rhs = rightHandSides;
    this.shards = context.prepared.manifest.shards;
  }

  shardOrder(seed: number, sample: number, pass: number): Int32Array {
    return permutation(this.shards.length, generator(seed, sample, pass));
  }

  async run({ state, ...step }: ChainTask, next?: ChainStep): Promise<ChainState> {
    const { operator } = this.#context;
    const span = (this.#span ??= this.#beginSpan());
    let running = this.#begun.get(state);
    for (let tries = 1; ; tries++) {
      running ??= await this.#begin(step, state);
      try {
        await Promise.race([running.sent, running.state]);
        const after = next && this.#beginEarly(next, running);
        const ended = await running.state;
        operator.products += this.#products(step);
        span.ended = seconds();
        span.after = this.#busy();
        if (after) this.#begun.set(ended, after);
        return ended;
      } catch (error) {
        if (!isTransient(error) || tries >= triesPerTask) throw error;
        running = undefined;
      }
    }
  }

  async #begin(step: ChainStep, state: ChainState): Promise<Running> {
    const values = state instanceof Float32Array ? state : Float32Array.from(state);
    return this.#send(await this.#take(step.shard), step, values);
  }

  /** Sends a step to where the one before runs, if there is room and nobody wants it. */
  #beginEarly(step: ChainStep, { worker, id }: Running): Running | undefined {
    if (this.#wanting > 0) return undefined;
    const there = this.#context.farm.workers().filter((other) => other.id === worker);
    return this.#scheduler.take(step.shard, there) === worker
      ? this.#send(worker, step, { after: id })
      : undefined;
  }

  /** Sends a step to a worker that was taken for it. */
  #send(worker: string, step: ChainStep, state: Float32Array | { after: number }): Running {
    const { sample, columns, pass, shard, minibatches, seed, batchSize, scale, shrink } = step;
    const { start: first, end } = minibatches;
    const id = this.#tasks++;
    let onSent = () => {};
    const sent = new Promise<void>((resolve) => (onSent = resolve));
    const run = async () => {
      const rhs = await this.#block(columns);
      const task = {
        ...{ id, shard, rhs, count: columns.end - columns.start, batchSize, sampling: this.#sampling },
        ...{ first, end, shrink, scale, seeds: [seed, sample, pass, shard] },
      };
      return this.#context.operator.runChain(worker, task, state, this.#products(step), onSent);
    };
    const ended = run().finally(() => {
      this.#scheduler.done(worker);
      const [longest] = this.#waiting;
      longest?.();
    });
    // Nobody may ask for what was begun early.
    ended.catch(() => {});
    return { worker, id, sent, state: ended };
  }

  /** Passes over the data times right-hand sides. */
  #products({ columns, minibatches, shard, batchSize }: ChainStep): number {
    const rows = rowsIn(minibatches, this.shards[shard]!.rows, batchSize);
    return ((columns.end - columns.start) * rows) / this.#context.prepared.manifest.rows;
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
    this.#wanting += 1;
    try {
      for (;;) {
        const worker = this.#scheduler.take(shard, await farm.atLeastOne(signal));
        if (worker) return worker;
        signal.throwIfAborted();
        await this.#roomOrChange();
      }
    } finally {
      this.#wanting -= 1;
    }
  }

  /** Ends when a task did, when workers come or go, or with the job. */
  #roomOrChange(): Promise<void> {
    const { farm, signal } = this.#context;
    return new Promise<void>((resolve) => {
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
