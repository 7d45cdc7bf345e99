import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { fromWire, IhvpError, toWire, WorkerLostError } from '../protocol/errors.js';
import { isOnGpu } from './engines/names.js';
import { setTensorflowDefaults, type GpuOptions } from './engines/tensorflow/environment.js';
import type { SharedBytes } from './shard-cache.js';
import type { Outcome, ShardRequest, ShardResponse, Started, StartInput } from './thread-messages.js';

/** The main thread's side of a shard request. */
export type ServeShard = (digest: string, shard: number) => Promise<SharedBytes>;

/** What a thread is started with, beside its line to the shards. */
type ThreadOptions = Omit<StartInput, 'shards'>;
export type SlotsOptions = Omit<ThreadOptions, 'budget'> & GpuOptions & { budget: number };

/**
 * Three semi-spaces. V8 scavenges when the arrays made since the last scavenge take two of them, but marks the whole
 * heap, beside the arithmetic, when they take some 8 MiB: downloaded products should meet the first limit.
 */
const maxYoungGenerationSizeMb = 6;

/** One arithmetic thread: a pool of one that never ends, because linearizations and engine memory live in it. Its tasks run in order. */
class Slot {
  #pool = new Piscina({
    filename: new URL('./thread.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    // The next task is there when one ends.
    concurrentTasksPerWorker: 2,
    idleTimeout: Infinity,
    // The thread must hear its shard port between and within tasks: it may never sleep on an atomic.
    atomics: 'disabled',
    // Below the NATS threads of all processes here: a message is read at once even where every core computes.
    niceIncrement: 5,
    recordTiming: false,
    resourceLimits: { maxYoungGenerationSizeMb },
  });
  #port: MessagePort | undefined;
  #begin: () => Promise<{ value: Started }> = () => Promise.reject(new Error('the slot was not started'));
  #restarting: Promise<unknown> | undefined;
  #closed = false;
  /** Tasks that run or wait here. */
  load = 0;
  /** Bytes of linearizations, as of the last task. */
  usedBytes = 0;

  start(options: ThreadOptions, serve: ServeShard): Promise<{ value: Started }> {
    this.#begin = () => {
      const { port1, port2 } = new MessageChannel();
      this.#port?.close();
      this.#port = port1;
      port1.on('message', (request: ShardRequest) => void answer(port1, request, serve));
      const input: StartInput = { ...options, shards: port2 };
      return this.#task<Started>('start', input, [port2]);
    };
    return this.#begin();
  }

  /** @throws what the task threw; WorkerLostError where the thread died (of memory, say): a new one is there then */
  async run<T>(name: string, input: unknown): Promise<{ value: T; busySeconds: number }> {
    this.load++;
    try {
      return await this.#task(name, input);
    } catch (error) {
      if (error instanceof IhvpError || this.#closed) throw error;
      this.usedBytes = 0;
      // Two tasks may have been there.
      await (this.#restarting ??= this.#begin().finally(() => (this.#restarting = undefined)));
      throw new WorkerLostError(`an arithmetic thread died: ${String(error)}`, { cause: error });
    } finally {
      this.load--;
    }
  }

  async #task<T>(name: string, input: unknown, transfer: MessagePort[] = []) {
    const outcome = (await this.#pool.run(input, { name, transferList: transfer })) as Outcome<T>;
    if (!outcome.ok) throw fromWire(outcome.error);
    this.usedBytes = outcome.usedBytes;
    return outcome;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#port?.close();
    await this.#pool.destroy();
  }
}

/** The arithmetic threads of a worker. A task goes to a slot by number, so that its data is there already. */
export class Slots {
  #slots: Slot[];
  readonly started: Started;

  private constructor(slots: Slot[], started: Started) {
    this.#slots = slots;
    this.started = started;
  }

  /** Starts `threads` threads, one if the engine computes on a GPU, with `budget` bytes for linearizations among them. */
  static async start(
    threads: number,
    { budget, gpu, tf32, ...options }: SlotsOptions,
    serve: ServeShard,
  ): Promise<Slots> {
    setTensorflowDefaults(options.engine, { gpu, tf32 });
    const slots = [new Slot()];
    const share = { bytes: budget, threads };
    try {
      const start = (slot: Slot) => slot.start({ ...options, budget: share }, serve);
      const { value } = await start(slots[0]!);
      if (!isOnGpu(value.engine)) while (slots.length < threads) slots.push(new Slot());
      await Promise.all(slots.slice(1).map(start));
      return new Slots(slots, value);
    } catch (error) {
      await Promise.all(slots.map((slot) => slot.close()));
      throw error;
    }
  }

  get count(): number {
    return this.#slots.length;
  }

  get usedBytes(): number {
    return this.#slots.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
  }

  leastLoaded(): number {
    return this.#slots.reduce((best, { load }, index) => (load < this.#slots[best]!.load ? index : best), 0);
  }

  run<T>(index: number, name: string, input: unknown): Promise<{ value: T; busySeconds: number }> {
    return this.#slots[index]!.run<T>(name, input);
  }

  /** What each slot's task gives. */
  async runEverywhere<T>(name: string, input: unknown): Promise<T[]> {
    const runs = await Promise.all(this.#slots.map((slot) => slot.run<T>(name, input)));
    return runs.map(({ value }) => value);
  }

  async close(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.close()));
  }
}

async function answer(
  port: MessagePort,
  { request, digest, shard }: ShardRequest,
  serve: ServeShard,
): Promise<void> {
  let response: ShardResponse;
  try {
    response = { request, bytes: await serve(digest, shard) };
  } catch (error) {
    response = { request, error: toWire(error) };
  }
  port.postMessage(response);
}
