import { symmetricEigen } from '../../dense/symmetric-eigen.js';
import { solveByPolicy } from '../../solvers/indefinite.js';
import { preconditioner } from '../preconditioner.js';
import { normalVectors } from '../random-vectors.js';
import { solverOptions } from '../solver-options.js';
import type { SolveBy } from './method.js';

/** Keeps the random vectors of the search for the smallest eigenvalue apart from the preconditioner's. */
const stream = 1;

export const solveByCg: SolveBy<'cg'> = async (method, { block, damping }, context) => {
  const { tolerance, maxIterations, onIndefinite, seed } = method;
  const made = await preconditioner(method, damping, context);
  context.stage('cg');
  const solution = await solveByPolicy(context.operator, block, {
    ...solverOptions(context, tolerance),
    damping,
    tolerance,
    iterations: maxIterations,
    block: method.block,
    onIndefinite,
    preconditioner: made?.at,
    random: normalVectors(context.operator.size, seed, stream),
    eigensolver: symmetricEigen,
  });
  const { lowest, indefinite } = solution;
  return {
    solution,
    report: {
      damping: solution.damping,
      ...(made && { preconditioner: made.report }),
      ...(indefinite && {
        indefinite: {
          policy: onIndefinite,
          ...(lowest && { smallestEigenvalue: lowest.value, residual: lowest.residual }),
        },
      }),
    },
  };
};
