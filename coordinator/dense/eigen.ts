import { Piscina } from 'piscina';
import type { SmallEigen } from '../solvers/small-eigen.js';

/** The eigenproblems of symmetric matrices in a thread of their own: the coordinator's own thread keeps its heartbeats. */
export async function eigenInThread(
  matrices: readonly { matrix: Float64Array; size: number }[],
  signal: AbortSignal,
): Promise<SmallEigen[]> {
  const pool = new Piscina({
    filename: new URL('./eigen-thread.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    atomics: 'disabled',
  });
  try {
    return await Promise.all(matrices.map((task) => pool.run(task, { signal }) as Promise<SmallEigen>));
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    await pool.destroy();
  }
}
