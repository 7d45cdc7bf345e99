import { Piscina } from 'piscina';
import type { SmallEigen } from '../solvers/small-eigen.js';
import type { Application } from './kronecker-inverse.js';
import type { DenseSolution, DenseSystem } from './solve-dense.js';

/** The thread's tasks, each with what it takes and gives. */
export interface Tasks {
  solveDense: (system: DenseSystem) => DenseSolution;
  eigen: (matrices: { matrix: Float64Array; size: number }[]) => SmallEigen[];
  applyInverse: (application: Application) => Float64Array;
}

/**
 * The coordinator's thread for long arithmetic, which its own could not do without missing heartbeats. It is begun when it is
 * needed, and never ended: Node 20 aborts the process, once in some fifty times, where a thread ends whose code is
 * being optimised (`node::NodePlatform::ForIsolate`, `(data.first) != nullptr`).
 */
const pool = new Piscina({
  filename: new URL('./thread.js', import.meta.url).href,
  ...{ minThreads: 0, maxThreads: 1, idleTimeout: Infinity, atomics: 'disabled' },
});

/** Runs a task there. An abort rejects at once; the thread still ends what it has begun before it takes the next. */
export async function inThread<Name extends keyof Tasks>(
  name: Name,
  task: Parameters<Tasks[Name]>[0],
  signal: AbortSignal,
  transferList: ArrayBuffer[] = [],
): Promise<ReturnType<Tasks[Name]>> {
  signal.throwIfAborted();
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort);
  });
  try {
    const done = pool.run(task, { name, transferList }) as Promise<ReturnType<Tasks[Name]>>;
    return await Promise.race([done, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
