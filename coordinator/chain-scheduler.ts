import type { WorkerHeartbeat } from '../protocol/tasks.js';

/**
 * Which worker runs the next chain task: one with a free thread, if possible one that had this shard before.
 * Pure bookkeeping; the answer never depends on the choice.
 */
export class ChainScheduler {
  #running = new Map<string, number>();
  #holders = new Map<number, Set<string>>();

  /** A worker for a task on `shard`, now counted as busy; undefined while every thread is taken. */
  take(shard: number, workers: readonly WorkerHeartbeat[]): string | undefined {
    const free = workers.filter(({ id, threads }) => this.#load(id) < threads);
    const holders = this.#holders.get(shard);
    const chosen =
      free.find(({ id }) => holders?.has(id)) ?? free.sort((a, b) => this.#load(a.id) - this.#load(b.id))[0];
    if (!chosen) return undefined;
    this.#running.set(chosen.id, this.#load(chosen.id) + 1);
    if (holders) holders.add(chosen.id);
    else this.#holders.set(shard, new Set([chosen.id]));
    return chosen.id;
  }

  done(worker: string): void {
    this.#running.set(worker, Math.max(0, this.#load(worker) - 1));
  }

  #load(worker: string): number {
    return this.#running.get(worker) ?? 0;
  }
}
