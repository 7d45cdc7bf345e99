import { Piscina } from 'piscina';
import type { DenseSolution, DenseSystem } from './thread.js';

/** Solves a dense system in a thread of its own, which ends with it: the coordinator's own thread keeps its heartbeats. */
export async function solveDense(system: DenseSystem, signal: AbortSignal): Promise<DenseSolution> {
  const pool = new Piscina({
    filename: new URL('./thread.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    atomics: 'disabled',
  });
  try {
    return (await pool.run(system, { signal })) as DenseSolution;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    await pool.destroy();
  }
}
