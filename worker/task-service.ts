import type { NatsConnection } from '@nats-io/nats-core';
import { Svcm, type Service, type ServiceMsg } from '@nats-io/services';
import type { Manifest } from '../protocol/dataset.js';
import { ForbiddenError, toWire, UnknownOperatorError, WorkerLostError } from '../protocol/errors.js';
import { parseJson } from '../protocol/parse.js';
import type { Names } from '../protocol/subjects.js';
import { taskSchema, type DatasetRef, type Task, type TaskOf, type TaskReply } from '../protocol/tasks.js';
import { version } from '../protocol/version.js';
import { ServedOperator, type Answer } from './served-operator.js';
import { SelfChecks } from './self-checks.js';
import type { Slots } from './slots.js';

/** The manifest that the reference names, or an error where the dataset was replaced meanwhile. */
export type FindManifest = (dataset: DatasetRef) => Promise<Manifest>;

/** A successful reply, but for the time that it took. */
type Done = Omit<Extract<TaskReply, { ok: true }>, 'ok' | 'heldSeconds'>;

/** Answers tasks on `worker.<id>.task`, as an endpoint that `nats service` shows. */
export class TaskService {
  #nc: NatsConnection;
  #names: Names;
  #worker: string;
  #slots: Slots;
  #selfChecks: SelfChecks;
  #manifest: FindManifest;
  #operators = new Map<string, Promise<ServedOperator>>();
  #service: Service | undefined;
  #draining = false;
  #running = new Set<Promise<void>>();

  constructor(nc: NatsConnection, names: Names, worker: string, slots: Slots, manifest: FindManifest) {
    this.#nc = nc;
    this.#names = names;
    this.#worker = worker;
    this.#slots = slots;
    this.#selfChecks = new SelfChecks(slots);
    this.#manifest = manifest;
  }

  async start(): Promise<void> {
    this.#service = await new Svcm(this.#nc).add({
      name: `${this.#names.prefix}-worker`,
      version,
      description: 'multiplies by the Hessian of its leaves',
    });
    this.#service.addGroup(this.#names.worker(this.#worker).group).addEndpoint('task', {
      queue: '',
      handler: (error, message) => {
        if (error) return;
        // What fails in the end is the reply: the coordinator sees that this worker has no task any more.
        const answered = this.#answer(message).catch(() => {});
        this.#running.add(answered);
        void answered.then(() => this.#running.delete(answered));
      },
    });
  }

  get tasks(): number {
    return this.#running.size;
  }

  get operators(): string[] {
    return [...this.#operators.keys()];
  }

  /** Takes nothing new, finishes what runs, and closes every operator. */
  async drain(): Promise<void> {
    this.#draining = true;
    await Promise.all(this.#running);
    await Promise.all(this.operators.map((operator) => this.close(operator)));
    await this.#service?.stop();
  }

  async close(operator: string): Promise<void> {
    const served = this.#operators.get(operator);
    this.#operators.delete(operator);
    await served?.then((open) => open.close()).catch(() => {});
  }

  async #answer(message: ServiceMsg): Promise<void> {
    const began = performance.now();
    let reply: TaskReply;
    try {
      if (this.#draining) throw new UnknownOperatorError(`worker ${this.#worker} is leaving`);
      const answer = await this.#run(parseJson(taskSchema, message.data, 'task'));
      reply = { ok: true, ...answer, heldSeconds: (performance.now() - began) / 1000 };
    } catch (error) {
      reply = { ok: false, error: toWire(error) };
    }
    message.respond(JSON.stringify(reply));
  }

  async #run(task: Task): Promise<Done> {
    if (task.task === 'open') {
      const { engine } = await this.#open(task);
      return { nodes: [], block: null, busySeconds: 0, ...engine };
    }
    const open = this.#operators.get(task.operator);
    if (!open)
      throw new UnknownOperatorError(`worker ${this.#worker} does not hold operator ${task.operator}`, {
        hint: 'open it first',
      });
    const served = await open;
    try {
      const { nodes, values, busySeconds, selfCheck } = await this.#dispatch(served, task);
      return { nodes, block: await served.outbox.send(values, 1), busySeconds, selfCheck };
    } catch (error) {
      // A thread began anew: it knows no operator, and whoever needs one has to open it again.
      if (error instanceof WorkerLostError || error instanceof UnknownOperatorError)
        await this.close(task.operator);
      throw error;
    }
  }

  async #dispatch(served: ServedOperator, task: Exclude<Task, { task: 'open' }>): Promise<Answer> {
    switch (task.task) {
      case 'linearize':
        return served.linearize(task);
      case 'multiply':
        return served.multiply(task);
      case 'kronecker':
        return served.kronecker(task);
      case 'multiply-rows':
        return served.multiplyRows(task);
      case 'chain':
        return served.chain(task);
      case 'row-gradients':
        return served.rowGradients(task, await this.#manifest(task.dataset));
    }
  }

  /** Opening twice is opening once; a failed opening is forgotten. */
  async #open({ task: _, ...spec }: TaskOf<'open'>): Promise<ServedOperator> {
    const known = this.#operators.get(spec.operator);
    if (known) {
      if (JSON.stringify((await known).spec) !== JSON.stringify(spec))
        throw new ForbiddenError(`operator ${spec.operator} is open with other contents`);
      return known;
    }
    const opened = this.#manifest(spec.dataset).then((manifest) =>
      ServedOperator.open(this.#nc, this.#names, this.#worker, spec, manifest, this.#slots, this.#selfChecks),
    );
    this.#operators.set(spec.operator, opened);
    opened.catch(() => {
      if (this.#operators.get(spec.operator) === opened) this.#operators.delete(spec.operator);
    });
    return opened;
  }
}
