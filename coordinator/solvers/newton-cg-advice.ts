import type { NewtonCgOptions } from './newton-cg.js';
import type { Status } from './types.js';
import { show } from './vectors.js';

const says: Record<string, (options: NewtonCgOptions) => string> = {
  converged: ({ averageTolerance }) => `ended at a mean change of x below ${show(averageTolerance)}`,
  'precision-limited': () =>
    "stopped where no step lowers the quadratic beyond the products' rounding: accept them, or raise the damping",
  'iteration-limit': ({ iterations }) =>
    `reached the limit of ${iterations} Newton iterations: allow more, or take --method cg`,
  indefinite: () =>
    'met curvature that is not positive, so that there is no minimum: raise the damping, or take the gauss-newton curvature',
  diverged: () => 'went beyond all bounds: raise the damping, or check the right-hand sides',
};

/** What happened to the right-hand sides and what to do next. */
export function newtonCgAdvice(
  columns: readonly Status[],
  trueResiduals: readonly number[],
  options: NewtonCgOptions,
): string {
  const ends = [...new Set(columns)];
  return ends
    .map((status) => {
      const own = trueResiduals.filter((_, k) => columns[k] === status);
      return `${own.length} of ${columns.length} right-hand sides ${says[status]!(options)}; the residual is at most ${show(Math.max(...own))}.`;
    })
    .join(' ');
}
