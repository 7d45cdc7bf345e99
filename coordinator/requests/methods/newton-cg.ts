import { newtonCg } from '../../solvers/newton-cg.js';
import { solverOptions } from '../solver-options.js';
import type { SolveBy } from './method.js';

export const solveByNewtonCg: SolveBy<'newton-cg'> = async (method, { block, damping }, context) => {
  const { runs, ...solution } = await newtonCg(context.operator, block, {
    ...solverOptions(context),
    damping,
    averageTolerance: method.averageTolerance,
    iterations: method.maxIterations,
  });
  return {
    solution,
    report: { damping },
    columns: runs.map(({ evaluations, iterations }) => ({ evaluations, iterations })),
  };
};
