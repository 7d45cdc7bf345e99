import type { Msg, NatsConnection, Subscription } from '@nats-io/nats-core';
import { fromWire, WorkerLostError } from '../protocol/errors.js';
import { parseJson } from '../protocol/parse.js';
import type { Names } from '../protocol/subjects.js';
import { taskReplySchema, type Task, type TaskReply } from '../protocol/tasks.js';

export type TaskResult = Extract<TaskReply, { ok: true }>;

interface Pending {
  worker: string;
  resolve: (result: TaskResult) => void;
  reject: (error: Error) => void;
}

/** Calls to workers that take as long as they take: a call ends with the reply, or when its worker is lost. */
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
    this.#subscription = nc.subscribe(`${this.#inbox}.*`, { callback: (_, message) => this.#reply(message) });
  }

  /** @throws the worker's own error, `WorkerLostError`, or the signal's reason */
  call(worker: string, task: Task, signal: AbortSignal): Promise<TaskResult> {
    signal.throwIfAborted();
    const token = String(this.#next++);
    return new Promise((resolve, reject) => {
      const onAbort = () => this.#take(token)?.reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      const settled = <T>(settle: (value: T) => void) => {
        return (value: T) => {
          signal.removeEventListener('abort', onAbort);
          settle(value);
        };
      };
      this.#pending.set(token, { worker, resolve: settled(resolve), reject: settled(reject) });
      this.#nc.publish(this.#names.worker(worker).task, JSON.stringify(task), {
        reply: `${this.#inbox}.${token}`,
      });
    });
  }

  /** Ends every call to a worker that is gone. */
  lose(worker: string): void {
    for (const [token, call] of this.#pending)
      if (call.worker === worker)
        this.#take(token)?.reject(
          new WorkerLostError(`worker ${worker} stopped answering`, { details: { worker } }),
        );
  }

  close(): void {
    this.#subscription.unsubscribe();
    for (const { worker } of this.#pending.values()) this.lose(worker);
  }

  #take(token: string): Pending | undefined {
    const call = this.#pending.get(token);
    this.#pending.delete(token);
    return call;
  }

  #reply(message: Msg): void {
    const call = this.#take(message.subject.slice(this.#inbox.length + 1));
    if (!call) return;
    // The server's own answer where nobody listens on the worker's subject.
    if (message.headers?.code === 503) {
      call.reject(new WorkerLostError(`worker ${call.worker} is gone`, { details: { worker: call.worker } }));
      return;
    }
    try {
      const reply = parseJson(taskReplySchema, message.data, `the reply of worker ${call.worker}`);
      if (reply.ok) call.resolve(reply);
      else call.reject(fromWire(reply.error));
    } catch (error) {
      call.reject(error as Error);
    }
  }
}
