import type { SolverOptions } from '../solvers/types.js';
import type { Context } from './context.js';

/** A solver's way to the job: its cancellation, and its progress as the job's. `target`: where the residual must get to. */
export function solverOptions({ signal, operator, progress }: Context, target?: number): SolverOptions {
  return {
    signal,
    onProgress: ({ iteration, iterations, worst }) =>
      progress({
        iteration,
        iterations,
        residual: worst,
        products: operator.products,
        ...(target && { target }),
      }),
  };
}
