import type { Column, Report } from '../../../protocol/jobs.js';
import type { MethodName, MethodOf } from '../../../protocol/methods.js';
import type { Solution } from '../../solvers/types.js';
import type { Context } from '../context.js';

/** What one method needs, beside its own settings. */
export interface Problem {
  /** V, K × p. */
  block: Float64Array;
  count: number;
  /** λ */
  damping: number;
}

export interface Solved {
  solution: Solution;
  /** What the method adds to the report; `damping` is the λ that the answer is for. */
  report: Partial<Report> & { damping: number };
  /** What it adds to each column's outcome. */
  columns?: Partial<Column>[];
  warnings?: string[];
}

/** Solves (H + λI) S = V on the farm by one method. */
export type SolveBy<Name extends MethodName> = (
  method: MethodOf<Name>,
  problem: Problem,
  context: Context,
) => Promise<Solved>;
