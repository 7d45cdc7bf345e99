import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import { listen } from '../protocol/listen.js';
import { parseJson } from '../protocol/parse.js';
import type { Names } from '../protocol/subjects.js';
import { workerHeartbeatSchema, type WorkerHeartbeat } from '../protocol/tasks.js';
import { Membership, type MembershipChange } from './membership.js';
import { WorkerCalls } from './worker-calls.js';

/** The workers as a coordinator sees them: heartbeats in, calls out, losses noticed. */
export class Farm {
  readonly nc: NatsConnection;
  readonly names: Names;
  readonly coordinator: string;
  readonly calls: WorkerCalls;
  #membership = new Membership();
  #subscription: Subscription;
  #clock: NodeJS.Timeout;
  #listeners = new Set<(change: MembershipChange) => void>();

  constructor(nc: NatsConnection, names: Names, coordinator: string) {
    this.nc = nc;
    this.names = names;
    this.coordinator = coordinator;
    this.calls = new WorkerCalls(nc, names, coordinator);
    this.#subscription = listen(nc, names.worker('*').heartbeat, ({ data }) => {
      const heartbeat = parseJson(workerHeartbeatSchema, data, 'heartbeat');
      this.calls.heard(heartbeat.id, heartbeat.tasks);
      this.#apply(this.#membership.heartbeat(heartbeat, Date.now()));
    });
    this.#clock = setInterval(() => this.#apply(this.#membership.tick(Date.now())), 500);
  }

  workers(): WorkerHeartbeat[] {
    return this.#membership.ready();
  }

  /** Calls back on every worker that joins or is lost, until the returned function is called. */
  onChange(listener: (change: MembershipChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The ready workers, as soon as there is one. */
  async atLeastOne(signal: AbortSignal): Promise<WorkerHeartbeat[]> {
    while (this.workers().length === 0) await this.changed(signal);
    return this.workers();
  }

  /** Resolves at the next change of membership. */
  async changed(signal: AbortSignal): Promise<void> {
    let ended = () => {};
    try {
      signal.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        const aborted = () => reject(signal.reason as Error);
        const stop = this.onChange(() => resolve());
        signal.addEventListener('abort', aborted);
        ended = () => {
          stop();
          signal.removeEventListener('abort', aborted);
        };
      });
    } finally {
      ended();
    }
  }

  /** A call found the worker dead before its heartbeats ran out. */
  remove(worker: string): void {
    this.#apply(this.#membership.remove(worker));
  }

  close(): void {
    clearInterval(this.#clock);
    this.#subscription.unsubscribe();
    this.calls.close();
  }

  #apply(change: MembershipChange): void {
    if (change.joined.length + change.lost.length === 0) return;
    for (const worker of change.lost) this.calls.lose(worker);
    for (const listener of [...this.#listeners]) listener(change);
  }
}
