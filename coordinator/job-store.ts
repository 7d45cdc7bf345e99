import { AckPolicy, jetstream, jetstreamManager, RetentionPolicy, type Consumer } from '@nats-io/jetstream';
import { Kvm, type KV } from '@nats-io/kv';
import { nanos, type NatsConnection } from '@nats-io/nats-core';
import { AlreadyExistsError, UnknownJobError } from '../protocol/errors.js';
import { jobSchema, type Job } from '../protocol/jobs.js';
import { parseJson } from '../protocol/parse.js';
import type { Submission } from '../protocol/services.js';
import type { Names } from '../protocol/subjects.js';

/** A job whose coordinator is silent for this long goes to another one. */
export const acknowledgeWithinMs = 30_000;

/** The jobs: records in KV, and a work queue that gives each to one coordinator until it is acknowledged. */
export class JobStore {
  #nc: NatsConnection;
  #names: Names;
  #kv: KV;
  readonly queue: Consumer;

  private constructor(nc: NatsConnection, names: Names, kv: KV, queue: Consumer) {
    this.#nc = nc;
    this.#names = names;
    this.#kv = kv;
    this.queue = queue;
  }

  static async open(nc: NatsConnection, names: Names): Promise<JobStore> {
    const { queue, jobs } = names.stores;
    const manager = await jetstreamManager(nc);
    await manager.streams.add({
      name: queue.stream,
      subjects: [queue.subject],
      retention: RetentionPolicy.Workqueue,
    });
    await manager.consumers.add(queue.stream, {
      durable_name: queue.consumer,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(acknowledgeWithinMs),
    });
    const kv = await new Kvm(nc).create(jobs, { history: 1 });
    return new JobStore(nc, names, kv, await jetstream(nc).consumers.get(queue.stream, queue.consumer));
  }

  /**
   * Queues the job durably, then writes its record; who takes it from the queue before that writes the record itself.
   * The same id and request twice is the same job.
   * @throws AlreadyExistsError where the id is that of another request
   */
  async submit(submission: Submission): Promise<Job> {
    const { id, request } = submission;
    const known = await this.find(id);
    if (known) {
      if (JSON.stringify(known.request) === JSON.stringify(request)) return known;
      throw new AlreadyExistsError(`job "${id}" is another request`, {
        hint: 'choose another id',
        details: { job: id },
      });
    }
    const body = JSON.stringify(submission);
    await jetstream(this.#nc).publish(this.#names.stores.queue.subject, body, { msgID: id });
    return this.ensure(submission);
  }

  /** The job's record, made if it is not there. */
  async ensure({ id, request }: Submission): Promise<Job> {
    const known = await this.find(id);
    if (known) return known;
    const job: Job = {
      id,
      request,
      state: 'queued',
      message: 'waits for a coordinator',
      attempts: 0,
      submitted: new Date().toISOString(),
    };
    try {
      await this.#kv.create(id, JSON.stringify(job));
    } catch {
      return this.get(id); // The other side was first.
    }
    this.#nc.publish(this.#names.job(id).state, JSON.stringify(job));
    return job;
  }

  async find(id: string): Promise<Job | undefined> {
    const entry = await this.#kv.get(id);
    return entry?.operation === 'PUT' ? parseJson(jobSchema, entry.value, `job ${id}`) : undefined;
  }

  /** @throws UnknownJobError */
  async get(id: string): Promise<Job> {
    const job = await this.find(id);
    if (!job)
      throw new UnknownJobError(`there is no job "${id}"`, {
        hint: '`ihvp jobs` lists them',
        details: { job: id },
      });
    return job;
  }

  /** Newest first. */
  async list(limit: number): Promise<Job[]> {
    const ids: string[] = [];
    for await (const id of await this.#kv.keys()) ids.push(id);
    const jobs = await Promise.all(ids.map((id) => this.find(id)));
    return jobs
      .filter((job) => job !== undefined)
      .sort((a, b) => (a.submitted < b.submitted ? 1 : -1))
      .slice(0, limit);
  }

  /** Writes the record and publishes it as the job's new state. */
  async save(job: Job): Promise<void> {
    const text = JSON.stringify(job);
    await this.#kv.put(job.id, text);
    this.#nc.publish(this.#names.job(job.id).state, text);
  }
}
