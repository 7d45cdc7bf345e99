import type { NewtonCgColumn, NewtonCgOptions } from './newton-cg.js';
import type { Status } from './types.js';
import { show } from './vectors.js';

const unsolved =
  "ended where x hardly changes any more, which is the end by SciPy's rule, but the residual says unsolved";
const says: Record<string, (options: NewtonCgOptions) => string> = {
  converged: ({ averageTolerance }) => `ended at a mean change of x below ${show(averageTolerance)}`,
  'precision-limited': () =>
    "stopped where no step lowers the quadratic beyond the products' rounding: to get further, raise the damping",
  'iteration-limit': ({ iterations }) =>
    `reached the limit of ${iterations} Newton iterations: allow more, or take --method cg`,
  stagnated: ({ averageTolerance, damping }) =>
    `${unsolved}: lower --average-tolerance (now ${show(averageTolerance)}), or where products' precision allows no ` +
    `more raise the damping (now ${show(damping)})`,
  flat: () =>
    `${unsolved}: v is so small that SciPy's test, pᵀ(H+λI)p > 3 eps, sees no curvature along p; scale v up, or take ` +
    `--method cg, which knows no size`,
  indefinite: () =>
    'met curvature that is not positive, so that there is no minimum: raise the damping, or take the gauss-newton curvature',
  diverged: () => 'met numbers that are not finite: raise the damping, or check the right-hand sides',
};

/** What happened to the right-hand sides and what to do next. */
export function newtonCgAdvice(
  columns: readonly Status[],
  trueResiduals: readonly number[],
  runs: readonly NewtonCgColumn[],
  options: NewtonCgOptions,
): string {
  const ends = columns.map((status, k) => {
    const { status: byRules, lastInner } = runs[k]!;
    if (status !== 'stagnated') return status;
    if (byRules === 'precision-limited') return byRules;
    return lastInner === 'flat' ? 'flat' : 'stagnated';
  });
  const sentences = [...new Set(ends)].map((kind) => {
    const own = trueResiduals.filter((_, k) => ends[k] === kind);
    return `${own.length} of ${columns.length} right-hand sides ${says[kind]!(options)}; the residual is at most ${show(Math.max(...own))}.`;
  });
  if (trueResiduals.some((residual) => residual >= 1))
    sentences.push('Where the answer was no better than s = 0, that is handed out.');
  return sentences.join(' ');
}
