import type { Msg, NatsConnection, Subscription } from '@nats-io/nats-core';
import { fromWire, TimeoutError, WorkerLostError } from '../protocol/errors.js';
import { listen } from '../protocol/listen.js';
import { parseJson } from '../protocol/parse.js';
import type { Names } from '../protocol/subjects.js';
import { taskReplySchema, type Task, type TaskReply } from '../protocol/tasks.js';

export type TaskResult = Extract<TaskReply, { ok: true }>;

/** Heartbeats in a row by which a worker that owes a reply says that it has no task: task or reply got lost. */
const idleHeartbeats = 3;

interface Pending {
  worker: string;
  idleHeartbeats: number;
  resolve: (result: TaskResult) => void;
  reject: (error: Error) => void;
}

/**
 * Calls to workers that take as long as they take: a call ends with the reply, or when its worker is lost or does not
 * know of it.
 */
export class WorkerCalls {
  #nc: NatsConnection;
  #names: Names;
  #inbox: string;
  #subscription: Subscription;
  #pending = new Map<string, Pending>();
  #next = 0;

  constructor(nc: NatsConnection, names: Names, coordinator: string) {
    this.#nc = nc;
    this.#names = names;
    this.#inbox = names.coordinator(coordinator).reply;
    this.#subscription = listen(nc, `${this.#inbox}.*`, (message) => this.#reply(message));
  }

  /** @throws the worker's own error, `WorkerLostError`, `TimeoutError` where messages got lost, or the signal's reason */
  async call(worker: string, task: Task, signal: AbortSignal): Promise<TaskResult> {
    signal.throwIfAborted();
    const token = String(this.#next++);
    let onAbort = () => {};
    try {
      return await new Promise<TaskResult>((resolve, reject) => {
        onAbort = () => reject(signal.reason as Error);
        signal.addEventListener('abort', onAbort);
        this.#pending.set(token, { worker, idleHeartbeats: 0, resolve, reject });
        this.#nc.publish(this.#names.worker(worker).task, JSON.stringify(task), {
          reply: `${this.#inbox}.${token}`,
        });
      });
    } finally {
      this.#pending.delete(token);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** A worker's heartbeat said how many tasks it has. */
  heard(worker: string, tasks: number): void {
    for (const call of this.#pending.values()) {
      if (call.worker !== worker) continue;
      call.idleHeartbeats = tasks > 0 ? 0 : call.idleHeartbeats + 1;
      if (call.idleHeartbeats >= idleHeartbeats)
        call.reject(new TimeoutError(`a task of worker ${worker}, or its reply, got lost`));
    }
  }

  /** Ends every call to a worker that is gone. */
  lose(worker: string): void {
    for (const call of this.#pending.values())
      if (call.worker === worker) call.reject(lost(worker, 'stopped answering'));
  }

  close(): void {
    this.#subscription.unsubscribe();
    for (const { worker } of this.#pending.values()) this.lose(worker);
  }

  #reply(message: Msg): void {
    const call = this.#pending.get(message.subject.slice(this.#inbox.length + 1));
    if (!call) return;
    try {
      // The server's own answer where nobody listens on the worker's subject.
      if (message.headers?.code === 503) return call.reject(lost(call.worker, 'is gone'));
      const reply = parseJson(taskReplySchema, message.data, `the reply of worker ${call.worker}`);
      if (reply.ok) call.resolve(reply);
      else call.reject(fromWire(reply.error));
    } catch (cause) {
      // Anybody can write to this subject; the task is worth another try.
      call.reject(new TimeoutError(cause instanceof Error ? cause.message : String(cause), { cause }));
    }
  }
}

function lost(worker: string, how: string): WorkerLostError {
  return new WorkerLostError(`worker ${worker} ${how}`, { details: { worker } });
}
