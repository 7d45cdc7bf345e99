/** A symmetric linear operator of which only products are known: one product is one pass over the data. */
export interface Operator {
  /** p, the length of a vector. */
  readonly size: number;
  /**
   * H times each of `count` vectors, the rows of `block` (count × p), as rows of a new array that the caller may
   * overwrite. H includes regularisation (l2), never damping: the solver adds λ exactly. The block is
   * not written to, and not read any more once the product is there.
   */
  multiply(block: Float64Array, count: number): Promise<Float64Array>;
}

export interface SolverOptions {
  /** Aborting it makes the solver reject with the signal's reason before its next product. */
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
}

export interface Progress {
  /** What `residuals` measures: relative residual (CG), relative change in the last pass (LiSSA), ‖∇f‖ (Newton). */
  measure: 'residual' | 'change' | 'gradient';
  iteration: number;
  /** The most iterations that there can be. */
  iterations: number;
  /** Passes over the data so far. */
  products: number;
  /** One per right-hand side. */
  residuals: number[];
  worst: number;
}

/** How a right-hand side ended, from the best to the worst; a whole solve ends as its worst right-hand side. */
export const statuses = [
  /** The tolerance is reached, by a residual computed anew. */
  'converged',
  /** A method with a fixed schedule and no tolerance (LiSSA) ran it to the end. */
  'completed',
  /** The tolerance lies below what the products' own precision allows. */
  'precision-limited',
  /** H + λI is singular and v is not in its range: the shortest of the answers with the least residual (MINRES). */
  'least-squares',
  'iteration-limit',
  /**
   * It has not got any nearer for long, or the schedule ran to the end and the answer is no better than zero, or its own rule
   * ended it although the residual says unsolved (Newton-CG).
   */
  'stagnated',
  /** A direction of zero or negative curvature: H + λI is not positive definite. */
  'indefinite',
  /** The recursion grew without bound or met numbers that are not finite; what it held before is returned. */
  'diverged',
] as const;
export type Status = (typeof statuses)[number];

export function worstStatus(columns: Iterable<Status>): Status {
  let worst = 0;
  for (const status of columns) worst = Math.max(worst, statuses.indexOf(status));
  return statuses[worst]!;
}

/** The answer for K right-hand sides. Every number in it is finite. */
export interface Solution {
  /** K × p, the solution of right-hand side k in row k. */
  solutions: Float64Array;
  status: Status;
  /** Status per right-hand side. */
  columns: Status[];
  /** What happened and what to do next, in words and numbers. */
  advice: string;
  iterations: number;
  /** Passes over the data, the final check included. */
  products: number;
  /** The worst of `Progress.residuals` at each iteration. */
  residualHistory: number[];
  /** ‖v − (H+λI)s‖ / ‖v‖ per right-hand side, computed anew from the answer (0 for v = 0). */
  trueResiduals: number[];
}
