import type { NatsConnection } from '@nats-io/nats-core';
import { nuid } from '@nats-io/nats-core';
import type { z } from 'zod';
import { connectBroker } from './connection.js';
import { CancelledError, fromWire, TimeoutError, TooLargeError, type WireError } from './errors.js';
import {
  isFinished,
  jobSchema,
  progressSchema,
  type Job,
  type Progress,
  type Report,
  type StoredFile,
} from './jobs.js';
import { listen } from './listen.js';
import { ModelStore } from './model-store.js';
import { Objects } from './objects.js';
import { parseJson, parseValue } from './parse.js';
import { requestSchema, type RequestInput } from './requests.js';
import { endpoints, replySchema, type EndpointName } from './services.js';
import { names as namesOf, type Names } from './subjects.js';
import { workerHeartbeatSchema, type WorkerHeartbeat } from './tasks.js';
import { decodeVectors, encodeVectors, type VectorBlock } from './vectors.js';

/** How often a watcher looks at the job's record, should an event have been missed. */
const pollMs = 2000;

export interface ClientOptions {
  /** `nats://[TOKEN@]HOST:PORT`; default IHVP_NATS_URL, else the local default port. */
  url?: string | undefined;
  /** The farm's subject prefix, where several share a server. */
  prefix?: string | undefined;
}

export interface Result {
  job: Job;
  report: Report;
  files: StoredFile[];
}

export interface WatchHandlers {
  onProgress?: (progress: Progress) => void;
  onState?: (job: Job) => void;
  signal?: AbortSignal;
}

/**
 * Connects to a farm.
 *
 * ```ts
 * const farm = await connect({ url: 'nats://127.0.0.1:4222' });
 * const job = await farm.submit({ type: 'solve', model: 'm', dataset: 'd', rhs: { kind: 'ones' }, method: { name: 'cg' } });
 * const { report } = await farm.wait(job.id);
 * const { values } = await farm.vectors(job.id, 'solution.arrow');
 * ```
 * @throws BrokerError
 */
export async function connect({ url, prefix }: ClientOptions = {}): Promise<Client> {
  const names = namesOf(prefix);
  return new Client(await connectBroker(url, `${names.prefix}-client`), names);
}

/** A typed client of one farm. Every call throws the error that the far side threw, as its own class. */
export class Client {
  readonly nc: NatsConnection;
  readonly names: Names;

  constructor(nc: NatsConnection, names: Names) {
    this.nc = nc;
    this.names = names;
  }

  /** Submits a job; it is durable once this resolves. A given `id` makes a repeated submission the same job. */
  async submit(request: RequestInput, id: string = nuid.next()): Promise<Job> {
    const complete = parseValue(requestSchema, request, 'the request');
    return (await this.#ask('submit', { id, request: complete })).job;
  }

  async status(id: string): Promise<Job> {
    return (await this.#ask('status', { id })).job;
  }

  /** Newest first. */
  async jobs(limit = 50): Promise<Job[]> {
    return (await this.#ask('list', { limit })).jobs;
  }

  async cancel(id: string): Promise<Job> {
    return (await this.#ask('cancel', { id })).job;
  }

  async result(id: string): Promise<Result> {
    return this.#ask('result', { id });
  }

  /**
   * Follows a job's events until it is finished. Once the job was seen, a farm without a coordinator is waited for.
   * @throws UnknownJobError, TimeoutError where no coordinator answers at first, or the signal's reason
   */
  async watch(id: string, { onProgress, onState, signal }: WatchHandlers = {}): Promise<Job> {
    signal?.throwIfAborted();
    const { nc, names } = this;
    const subjects = names.job(id);
    let ended = () => {};
    try {
      return await new Promise<Job>((resolve, reject) => {
        let shown = '';
        const take = (job: Job) => {
          const now = `${job.state} ${job.message}`;
          if (now !== shown) onState?.(job);
          shown = now;
          if (isFinished(job.state)) resolve(job);
        };
        const missed = (error: Error) => {
          if (!(error instanceof TimeoutError && shown)) reject(error);
        };
        const look = () => void this.status(id).then(take).catch(missed);
        const aborted = () => reject(signal?.reason as Error);
        const poll = setInterval(look, pollMs);
        const subscriptions = [
          listen(nc, subjects.progress, ({ data }) =>
            onProgress?.(parseJson(progressSchema, data, 'progress')),
          ),
          listen(nc, subjects.state, ({ data }) => take(parseJson(jobSchema, data, 'job'))),
        ];
        signal?.addEventListener('abort', aborted);
        ended = () => {
          clearInterval(poll);
          for (const subscription of subscriptions) subscription.unsubscribe();
          signal?.removeEventListener('abort', aborted);
        };
        look();
      });
    } finally {
      ended();
    }
  }

  /** The result, once the job is done. @throws the job's own error, or CancelledError */
  async wait(id: string, handlers: WatchHandlers = {}): Promise<Result> {
    const job = await this.watch(id, handlers);
    if (job.state === 'failed') throw fromWire(job.error as WireError);
    if (job.state === 'cancelled')
      throw new CancelledError(`job ${id} was cancelled`, { details: { job: id } });
    return this.result(id);
  }

  /** A file of a job's result, as bytes. */
  async file(job: string, name: string): Promise<Uint8Array | undefined> {
    return (await Objects.open(this.nc, this.names.stores.results)).get(`${job}/${name}`);
  }

  /** A file of vectors of a job's result: `solution.arrow`, `product.arrow`, `gradient.arrow`, `parameters.arrow`. */
  async vectors(job: string, name: string): Promise<VectorBlock> {
    const bytes = await this.file(job, name);
    if (!bytes) throw new TimeoutError(`job ${job} has no file ${name}`);
    return decodeVectors(bytes);
  }

  /** Stores a block of right-hand sides (K × p) for requests with `rhs: { kind: 'vectors', name }`. */
  async uploadVectors(
    values: Float32Array | Float64Array,
    count: number,
    name: string = nuid.next(),
  ): Promise<string> {
    const store = await Objects.open(this.nc, this.names.stores.vectors);
    await store.put(name, encodeVectors(values, count, values.length / count));
    return name;
  }

  models(): Promise<ModelStore> {
    return ModelStore.open(this.nc, this.names);
  }

  /** The workers that are heard within `milliseconds`, or until there are `enough`; their heartbeats come every second. */
  async workers(milliseconds = 1500, enough = Infinity): Promise<WorkerHeartbeat[]> {
    const heard = new Map<string, WorkerHeartbeat>();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        subscription.unsubscribe();
        resolve([...heard.values()]);
      };
      const timer = setTimeout(end, milliseconds).unref();
      const subscription = listen(this.nc, this.names.worker('*').heartbeat, ({ data }) => {
        const heartbeat = parseJson(workerHeartbeatSchema, data, 'heartbeat');
        heard.set(heartbeat.id, heartbeat);
        if (heard.size >= enough) end();
      });
    });
  }

  async close(): Promise<void> {
    await this.nc.drain();
  }

  async #ask<Name extends EndpointName>(
    name: Name,
    request: z.input<(typeof endpoints)[Name]['request']>,
  ): Promise<z.infer<(typeof endpoints)[Name]['reply']>> {
    const body = JSON.stringify(request);
    const most = this.nc.info?.max_payload ?? Infinity;
    if (Buffer.byteLength(body) > most)
      throw new TooLargeError(`the request is larger than the ${most} bytes that the server takes`);
    let data: Uint8Array;
    try {
      data = (await this.nc.request(this.names.jobs[name], body, { timeout: 15_000 })).data;
    } catch (cause) {
      throw new TimeoutError(
        `no coordinator answered: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          hint: 'start one with `ihvp up` or `ihvp coordinator`',
          cause,
        },
      );
    }
    const reply = parseJson(replySchema, data, 'the reply');
    if (!reply.ok) throw fromWire(reply.error);
    return parseValue(endpoints[name].reply, reply, 'the reply') as z.infer<
      (typeof endpoints)[Name]['reply']
    >;
  }
}
