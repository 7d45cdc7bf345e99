import { BlockInbox } from '../protocol/block-inbox.js';
import { BlockOutbox } from '../protocol/block-outbox.js';
import type { SelfCheck } from '../protocol/jobs.js';
import type { OperatorSpec, Task } from '../protocol/tasks.js';
import type { Farm } from './farm.js';
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
  threads: number;
  /** Passes over the whole dataset times right-hand sides that its share of the work amounts to. */
  products: number;
  busySeconds: number;
  selfCheck?: SelfCheck;
}

/** The lines of one operator to every worker that serves it. */
export class Links {
  readonly stats = new Map<string, WorkerStats>();
  /** Blocks for all workers at once. */
  readonly broadcast: BlockOutbox;
  #farm: Farm;
  #spec: OperatorSpec;
  #links = new Map<string, Link>();
  #stopWatching: () => void;

  constructor(farm: Farm, spec: OperatorSpec) {
    this.#farm = farm;
    this.#spec = spec;
    this.broadcast = new BlockOutbox(farm.nc, farm.names, spec.operator);
    this.#stopWatching = farm.onChange(({ lost }) => lost.forEach((worker) => this.drop(worker)));
  }

  /** How many workers listen to `broadcast`. */
  get size(): number {
    return this.#links.size;
  }

  /** Makes sure that the worker knows the operator. */
  async open(worker: string, signal: AbortSignal): Promise<Link> {
    let link = this.#links.get(worker);
    if (!link) {
      const { nc, names, calls } = this.#farm;
      const { operator } = this.#spec;
      link = {
        outbox: new BlockOutbox(nc, names, `${operator}-${worker}`),
        inbox: new BlockInbox(nc, names, `${worker}-${operator}`, operator),
        opened: calls.call(worker, { task: 'open', ...this.#spec }, signal),
      };
      this.#links.set(worker, link);
    }
    await link.opened;
    return link;
  }

  /** Runs a task; the reply's block, if any, comes as values. `products` is what the task counts for. */
  async run(
    worker: string,
    task: Task,
    products: number,
    signal: AbortSignal,
  ): Promise<{ result: TaskResult; values: Float32Array | Float64Array | null }> {
    const { inbox } = await this.open(worker, signal);
    const result = await this.#farm.calls.call(worker, task, signal);
    const values = result.block && (await inbox.get(result.block, signal));
    const stats = this.#statsOf(worker);
    stats.products += products;
    stats.busySeconds += result.busySeconds;
    if (result.selfCheck) stats.selfCheck = result.selfCheck;
    return { result, values };
  }

  /** Forgets the line; a worker that lives is opened anew when it is needed. */
  drop(worker: string): void {
    const link = this.#links.get(worker);
    this.#links.delete(worker);
    link?.outbox.close();
    link?.inbox.close();
    link?.opened.catch(() => {});
  }

  close(): void {
    this.#stopWatching();
    for (const worker of [...this.#links.keys()]) this.drop(worker);
    this.broadcast.close();
  }

  #statsOf(worker: string): WorkerStats {
    let stats = this.stats.get(worker);
    if (!stats) {
      const heartbeat = this.#farm.workers().find(({ id }) => id === worker);
      stats = {
        engine: heartbeat?.engine ?? 'unknown',
        threads: heartbeat?.threads ?? 1,
        products: 0,
        busySeconds: 0,
      };
      this.stats.set(worker, stats);
    }
    return stats;
  }
}
