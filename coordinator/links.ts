import { BlockInbox } from '../protocol/block-inbox.js';
import { BlockOutbox } from '../protocol/block-outbox.js';
import { TimeoutError, WorkerLostError } from '../protocol/errors.js';
import type { SelfCheck } from '../protocol/jobs.js';
import type { TreeNode } from '../protocol/reduction.js';
import type { OperatorSpec, Task } from '../protocol/tasks.js';
import type { Farm } from './farm.js';
import { isTransient } from './transient.js';
import type { TaskResult } from './worker-calls.js';

/** One operator's line to one worker: opened once, then tasks out and blocks both ways. */
interface Link {
  opened: Promise<TaskResult>;
  outbox: BlockOutbox;
  inbox: BlockInbox;
}

/** What a worker did for this operator, for the report. */
export interface WorkerStats {
  engine: string;
  /** Why this engine. */
  reason: string;
  threads: number;
  /** Passes over the whole dataset times right-hand sides that its share of the work amounts to. */
  products: number;
  busySeconds: number;
  /** Summed over its tasks, from a task's arrival to its reply. */
  heldSeconds: number;
  selfCheck?: SelfCheck;
}

export interface Sums {
  nodes: TreeNode[];
  values: Float32Array | Float64Array;
  /** Gives the memory of `values` back: nobody may read them any more. */
  release: () => void;
}

/** The lines of one operator to every worker that serves it. A line that fails is dropped, and opened anew when needed. */
export class Links {
  readonly stats = new Map<string, WorkerStats>();
  #farm: Farm;
  #spec: OperatorSpec;
  #signal: AbortSignal;
  /** Blocks for all workers at once. */
  #broadcast: BlockOutbox;
  #links = new Map<string, Link>();
  #stopWatching: () => void;

  constructor(farm: Farm, spec: OperatorSpec, signal: AbortSignal) {
    this.#farm = farm;
    this.#spec = spec;
    this.#signal = signal;
    this.#broadcast = new BlockOutbox(farm.nc, farm.names, spec.operator);
    this.#stopWatching = farm.onChange(({ lost }) => lost.forEach((worker) => this.#drop(worker)));
  }

  /** Sends a block to every worker that is there; one that joins later asks for it. */
  async broadcast(values: Float32Array) {
    await Promise.all(
      this.#farm.workers().map(({ id }) =>
        this.#open(id).catch((error: unknown) => {
          if (!isTransient(error)) throw error;
        }),
      ),
    );
    return this.#broadcast.send(values, this.#links.size);
  }

  /** No worker asks for the block any more. */
  release(block: number): void {
    this.#broadcast.release(block);
  }

  /** Runs a task; `size` says how many values its reply has for so many tree nodes. `products` is what it counts for. */
  async run(worker: string, task: Task, size: (nodes: number) => number, products: number): Promise<Sums> {
    return this.#with(worker, (link) => this.#call(worker, link, task, size, products));
  }

  /** Runs a task that takes a block of its own. */
  async runWith(
    worker: string,
    values: Float32Array,
    task: (block: Awaited<ReturnType<BlockOutbox['send']>>) => Task,
    size: (nodes: number) => number,
    products: number,
  ): Promise<Sums> {
    return this.#with(worker, async (link) => {
      const sent = await link.outbox.send(values, 1);
      try {
        return await this.#call(worker, link, task(sent), size, products);
      } finally {
        link.outbox.release(sent.id);
      }
    });
  }

  close(): void {
    this.#stopWatching();
    for (const worker of [...this.#links.keys()]) this.#drop(worker);
    this.#broadcast.close();
  }

  async #call(
    worker: string,
    { inbox, opened }: Link,
    task: Task,
    size: (nodes: number) => number,
    products: number,
  ): Promise<Sums> {
    const reply = await this.#farm.calls.call(worker, task, this.#signal);
    const { nodes, block, selfCheck } = reply;
    if (block?.values !== size(nodes.length))
      throw new TimeoutError(
        `worker ${worker} sent ${block?.values ?? 'no'} values for ${nodes.length} nodes`,
      );
    const values = await inbox.get(block, this.#signal);
    const stats = this.#statsOf(worker);
    // A plugin's operator is computed by another engine than the heartbeat's.
    const { engine, reason } = await opened;
    Object.assign(stats, engine && { engine, reason });
    stats.products += products;
    stats.busySeconds += reply.busySeconds;
    stats.heldSeconds += reply.heldSeconds;
    if (selfCheck) stats.selfCheck = selfCheck;
    return { nodes, values, release: () => inbox.release(values) };
  }

  /** Works with the open line to a worker; drops the line where that failed by the machinery's fault. */
  async #with<T>(worker: string, work: (link: Link) => Promise<T>): Promise<T> {
    const link = await this.#open(worker);
    try {
      return await work(link);
    } catch (error) {
      this.#failed(worker, link, error);
      throw error;
    }
  }

  /** Makes sure that the worker knows the operator. */
  async #open(worker: string): Promise<Link> {
    this.#signal.throwIfAborted();
    let link = this.#links.get(worker);
    if (!link) {
      const { nc, names, calls } = this.#farm;
      const { operator } = this.#spec;
      link = {
        outbox: new BlockOutbox(nc, names, `${operator}-${worker}`),
        inbox: new BlockInbox(nc, names, `${worker}-${operator}`, operator),
        opened: calls.call(worker, { task: 'open', ...this.#spec }, this.#signal),
      };
      this.#links.set(worker, link);
    }
    try {
      await link.opened;
    } catch (error) {
      this.#failed(worker, link, error);
      throw error;
    }
    return link;
  }

  /** Another task may have dropped the line already, and a third opened it anew: that one stays. */
  #failed(worker: string, link: Link, error: unknown): void {
    if (!isTransient(error)) return;
    if (this.#links.get(worker) === link) this.#drop(worker);
    if (error instanceof WorkerLostError) this.#farm.remove(worker);
  }

  #drop(worker: string): void {
    const link = this.#links.get(worker);
    this.#links.delete(worker);
    link?.outbox.close();
    link?.inbox.close();
  }

  #statsOf(worker: string): WorkerStats {
    let stats = this.stats.get(worker);
    if (!stats) {
      const heartbeat = this.#farm.workers().find(({ id }) => id === worker);
      stats = {
        engine: heartbeat?.engine ?? 'unknown',
        reason: heartbeat?.reason ?? 'unknown',
        threads: heartbeat?.threads ?? 1,
        products: 0,
        busySeconds: 0,
        heldSeconds: 0,
      };
      this.stats.set(worker, stats);
    }
    return stats;
  }
}
