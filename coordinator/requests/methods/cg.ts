import { conjugateGradient } from '../../solvers/conjugate-gradient.js';
import { solverOptions } from '../solver-options.js';
import type { SolveBy } from './method.js';

export const solveByCg: SolveBy<'cg'> = async ({ tolerance, maxIterations }, { block, damping }, context) => {
  const solution = await conjugateGradient(context.operator, block, {
    ...solverOptions(context, tolerance),
    damping,
    tolerance,
    iterations: maxIterations,
  });
  return { solution, report: { damping } };
};
