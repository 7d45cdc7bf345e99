import { TooLargeError } from '../../../protocol/errors.js';
import { memoryAdvice } from '../memory-advice.js';
import { release } from './release.js';
import type { Program, Sessions } from './sessions.js';
import type { Storage } from './tensor.js';

/** A recorded graph with the storages that it reads and those that it makes. */
export class Call {
  constructor(
    readonly program: Program,
    readonly sources: readonly Storage[],
    readonly results: readonly Storage[],
  ) {}
}

/**
 * Calls that wait for somebody to want a value: then they run in the order of recording. One that nobody can want any
 * more is forgotten, and what it read is freed.
 */
export class Calls {
  #waiting = new Set<Call>();
  #running: Promise<void> = Promise.resolve();

  constructor(private readonly sessions: Sessions) {}

  add(call: Call): void {
    for (const result of call.results) result.producer = call;
    this.#waiting.add(call);
  }

  /** Runs what waits. Never rejects: a failure is its results', and of every call that reads them. */
  run(): Promise<void> {
    this.#running = this.#running.then(async () => {
      for (const call of this.#waiting) await this.#run(call);
    });
    return this.#running;
  }

  async #run(call: Call): Promise<void> {
    this.#waiting.delete(call);
    const { program, sources, results } = call;
    for (const result of results) result.producer = undefined;
    try {
      for (const { failure } of sources) if (failure) throw failure;
      const values = await this.sessions.run(program, sources);
      for (const [i, result] of results.entries()) {
        result.value = values[i];
        result.computed = true;
      }
    } catch (error) {
      for (const result of results) result.failure = failureOf(error);
    }
    this.leave(sources);
    for (const result of results) this.free(result);
  }

  /** Frees a storage, and calls that were to make it, if nobody can want it any more. */
  free(storage: Storage): void {
    if (storage.holders > 0 || storage.readers > 0) return;
    if (storage.value?.location === 'gpu-buffer') storage.value.dispose();
    else if (storage.value && storage.computed) release(storage.value.data);
    storage.value = undefined;
    const call = storage.producer;
    if (!call || call.results.some(({ holders, readers }) => holders + readers > 0)) return;
    if (this.#waiting.delete(call)) this.leave(call.sources);
  }

  /** Some graph reads them no more. */
  leave(sources: readonly Storage[]): void {
    for (const source of sources) {
      source.readers--;
      this.free(source);
    }
  }
}

/** Allocation fails in the runtime's arena, or already in the C++ library. */
function failureOf(error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  if (!/allocate|bad_alloc|out of memory/i.test(message))
    return error instanceof Error ? error : new Error(message);
  return new TooLargeError(`the engine's memory is used up: ${message.split('\n')[0]}`, {
    hint: `${memoryAdvice}; restart this worker`,
    details: { engine: 'onnx' },
    cause: error,
  });
}
