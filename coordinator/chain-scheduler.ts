import type { WorkerHeartbeat } from '../protocol/tasks.js';

/** Tasks that wait for each thread beside the one that it has, so that its next one is there when it ends one. */
const ahead = 1;

/**
 * Which worker runs the next chain task: one with a free thread, if possible one that had this shard before; while every
 * thread is taken, one where few tasks wait. Pure bookkeeping; the answer never depends on the choice.
 */
export class ChainScheduler {
  #running = new Map<string, number>();
  #holders = new Map<number, Set<string>>();

  /** A worker for a task on `shard`, now counted as busy; undefined while enough tasks wait on each. */
  take(shard: number, workers: readonly WorkerHeartbeat[]): string | undefined {
    const holders = this.#holders.get(shard);
    const chosen = this.#best(workers, 0, holders) ?? this.#best(workers, ahead, holders);
    if (chosen === undefined) return undefined;
    this.#running.set(chosen, this.#load(chosen) + 1);
    if (holders) holders.add(chosen);
    else this.#holders.set(shard, new Set([chosen]));
    return chosen;
  }

  done(worker: string): void {
    this.#running.set(worker, Math.max(0, this.#load(worker) - 1));
  }

  /** Of the workers on which fewer than `waiting` tasks wait for each thread: a holder, else the least busy. */
  #best(workers: readonly WorkerHeartbeat[], waiting: number, holders: Set<string> | undefined) {
    const open = workers.filter(({ id, threads }) => this.#load(id) < threads * (1 + waiting));
    const chosen =
      open.find(({ id }) => holders?.has(id)) ?? open.sort((a, b) => this.#load(a.id) - this.#load(b.id))[0];
    return chosen?.id;
  }

  #load(worker: string): number {
    return this.#running.get(worker) ?? 0;
  }
}
