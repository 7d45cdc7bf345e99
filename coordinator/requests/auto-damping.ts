import { show } from '../solvers/vectors.js';
import type { Context } from './context.js';
import { curvatureOf } from './curvature.js';
import { roundUp } from '../solvers/lissa-plan.js';

/**
 * λ where none was given: a tenth of the mean eigenvalue, tr H / p, as is usual for influence functions (Grosse et al.
 * 2023, §5), and no less than twice the most negative curvature that the estimate met. Rounded up to two digits.
 */
export async function autoDamping(context: Context): Promise<{ damping: number; why: string }> {
  const { trace, lowest, largest } = (await curvatureOf(context)).value;
  const { size } = context.operator;
  const mean = trace / size;
  // A trace that is not positive says nothing of the size of the curvature.
  const usual = mean > 0 ? 0.1 * mean : 1e-3 * largest;
  const damping = roundUp(Math.max(usual, -2 * lowest));
  const why =
    damping > 2 * usual
      ? `twice the negative curvature ${show(lowest)}`
      : `a tenth of the mean eigenvalue ${show(mean)}`;
  return { damping, why: `damping auto: λ = ${show(damping)}, ${why}` };
}
