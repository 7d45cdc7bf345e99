import {
  AckPolicy,
  jetstream,
  JetStreamApiCodes,
  JetStreamApiError,
  jetstreamManager,
  RetentionPolicy,
  type Consumer,
} from '@nats-io/jetstream';
import { Kvm, type KV, type KvEntry } from '@nats-io/kv';
import { nanos, type NatsConnection } from '@nats-io/nats-core';
import { answered } from '../protocol/answered.js';
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
    let job = await this.find(id);
    if (!job) {
      const body = JSON.stringify(submission);
      const { subject } = this.#names.stores.queue;
      await answered('the job queue', jetstream(this.#nc).publish(subject, body, { msgID: id }));
      job = await this.ensure(submission);
    }
    if (JSON.stringify(job.request) === JSON.stringify(request)) return job;
    throw new AlreadyExistsError(`job "${id}" is another request`, {
      hint: 'choose another id',
      details: { job: id },
    });
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
    // Otherwise the other side was first.
    if (!(await this.#write(this.#kv.create(id, JSON.stringify(job))))) return this.get(id);
    this.#nc.publish(this.#names.job(id).state, JSON.stringify(job));
    return job;
  }

  async find(id: string): Promise<Job | undefined> {
    const entry = await answered('the job store', this.#kv.get(id));
    return entry?.operation === 'PUT' ? readJob(entry) : undefined;
  }

  /** @throws UnknownJobError */
  async get(id: string): Promise<Job> {
    const job = await this.find(id);
    if (!job) throw unknown(id);
    return job;
  }

  /** Newest first; records that are not a job's are left out. */
  async list(limit: number): Promise<Job[]> {
    const jobs: Job[] = [];
    for await (const entry of await answered('the job store', this.#kv.history())) {
      if (entry.operation !== 'PUT') continue;
      try {
        jobs.push(readJob(entry));
      } catch {
        continue;
      }
    }
    return jobs.sort((a, b) => (a.submitted < b.submitted ? 1 : -1)).slice(0, limit);
  }

  /**
   * Changes the record as it is by then, whoever else changes it at the same time, and publishes it as the job's new
   * state. `change` returns undefined to leave it. Returns the record as it is now.
   * @throws UnknownJobError
   */
  async change(id: string, change: (job: Job) => Job | undefined): Promise<Job> {
    for (;;) {
      const entry = await answered('the job store', this.#kv.get(id));
      if (entry?.operation !== 'PUT') throw unknown(id);
      const job = readJob(entry);
      const changed = change(job);
      if (!changed) return job;
      const text = JSON.stringify(changed);
      if (!(await this.#write(this.#kv.update(id, text, entry.revision)))) continue;
      this.#nc.publish(this.#names.job(id).state, text);
      return changed;
    }
  }

  /** Whether the record was still as the write supposes. */
  #write(write: Promise<number>): Promise<boolean> {
    const written = write.then(
      () => true,
      (error: unknown) => {
        if (isConflict(error)) return false;
        throw error;
      },
    );
    return answered('the job store', written);
  }
}

function readJob({ key, value }: KvEntry): Job {
  return parseJson(jobSchema, value, `the record of job ${key}`);
}

function unknown(id: string): UnknownJobError {
  return new UnknownJobError(`there is no job "${id}"`, {
    hint: '`ihvp jobs` lists them',
    details: { job: id },
  });
}

/** The record was not, or no more, as it was read. */
function isConflict(error: unknown): boolean {
  return (
    error instanceof JetStreamApiError &&
    (error.code === JetStreamApiCodes.StreamWrongLastSequence ||
      error.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown)
  );
}
