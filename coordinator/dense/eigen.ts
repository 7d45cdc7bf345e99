import type { SmallEigen } from '../solvers/small-eigen.js';
import { inThread } from './in-thread.js';

/** The eigenproblems of symmetric matrices, away from the coordinator's own thread. */
export function eigenInThread(
  matrices: readonly { matrix: Float64Array; size: number }[],
  signal: AbortSignal,
): Promise<SmallEigen[]> {
  return inThread(new URL('./eigen-thread.js', import.meta.url), matrices, signal);
}
