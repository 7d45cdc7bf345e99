import { inThread } from './in-thread.js';
import type { DenseSolution, DenseSystem } from './thread.js';

/** Solves a dense system away from the coordinator's own thread. */
export async function solveDense(system: DenseSystem, signal: AbortSignal): Promise<DenseSolution> {
  const [solution] = await inThread<DenseSolution>(new URL('./thread.js', import.meta.url), [system], signal);
  return solution!;
}
