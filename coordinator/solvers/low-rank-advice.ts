import { show } from './vectors.js';

interface Facts {
  rank: number;
  reused: boolean;
  /** Whether the pairs themselves converged. */
  converged: boolean;
  values: Float64Array;
  damping: number;
  trueResiduals: number[];
  tolerance: number;
}

/** How good the low-rank answer is, and what would make it better. */
export function lowRankAdvice({
  rank,
  reused,
  converged,
  values,
  damping,
  trueResiduals,
  tolerance,
}: Facts): string {
  const worst = Math.max(...trueResiduals);
  const good = trueResiduals.filter((residual) => residual <= tolerance).length;
  const nearest = values.reduce((least, value) => Math.min(least, Math.abs(value + damping)), Infinity);
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return [
    `${rank} eigenpairs${reused ? ', kept from an earlier job' : ''}: residual up to ${show(worst)}, within the tolerance ` +
      `for ${good} of ${trueResiduals.length} right-hand sides.`,
    ...(converged ? [] : ['The eigenpairs had not converged: allow more iterations.']),
    ...(worst >= 1 ? ['Where the answer was no better than s = 0, that is handed out.'] : []),
    ...(nearest < 1e-6 * largest
      ? [`H + ${show(damping)}·I is singular within rounding: change the damping.`]
      : []),
    ...(good < trueResiduals.length
      ? [
          `The smallest eigenvalue kept is ${show(values.at(-1)!)}: a damping well above it, or more rank, brings the residual ` +
            `down; cg gets there in any case.`,
        ]
      : []),
  ].join(' ');
}
