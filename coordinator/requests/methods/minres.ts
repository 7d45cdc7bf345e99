import { minres } from '../../solvers/minres.js';
import { solverOptions } from '../solver-options.js';
import type { SolveBy } from './method.js';

export const solveByMinres: SolveBy<'minres'> = async (
  { tolerance, maxIterations },
  { block, damping },
  context,
) => {
  const solution = await minres(context.operator, block, {
    ...solverOptions(context, tolerance),
    damping,
    tolerance,
    iterations: maxIterations,
  });
  return { solution, report: { damping } };
};
