import { TooLargeError } from '../../../protocol/errors.js';
import type { MethodOf } from '../../../protocol/methods.js';
import { dropUseless, residualsOf, withDamping } from '../../solvers/damped.js';
import { lowRankAdvice } from '../../solvers/low-rank-advice.js';
import { lowRankSolutions } from '../../solvers/low-rank.js';
import { worstStatus, type Status } from '../../solvers/types.js';
import { keptEigenpairs } from '../eigenpairs.js';
import type { Context } from '../context.js';
import type { SolveBy } from './method.js';

/** Float64 values of a Lanczos basis: 2 GiB. */
const basisValues = 2 ** 28;

export const solveByArnoldi: SolveBy<'arnoldi'> = async (method, { block, count, damping }, context) => {
  const { operator, signal, stage } = context;
  const { tolerance } = method;
  const rank = Math.min(method.rank, operator.size);
  if ((2 * rank + 11) * operator.size > basisValues)
    throw new TooLargeError(`the basis for ${rank} eigenpairs of ${operator.size} values is too large`, {
      hint: `take a rank of at most ${Math.floor((basisValues / operator.size - 11) / 2)}`,
    });
  const before = operator.products;
  const { reused, ...pairs } = await keptEigenpairs(rank, method.maxIterations, method.seed, context);
  const products = operator.products - before;
  const complement = complementOf(method, damping, pairs.values, context);
  const solutions = lowRankSolutions(pairs, block, damping, complement);
  const finite = solutions.every(Number.isFinite);
  if (!finite) solutions.fill(0);
  signal.throwIfAborted();
  stage('checking');
  const { relative } = await residualsOf(withDamping(operator, damping), block, solutions, count);
  dropUseless(solutions, relative, operator.size);
  const columns = relative.map((residual): Status =>
    residual <= tolerance ? 'converged' : !finite ? 'indefinite' : residual < 1 ? 'completed' : 'stagnated',
  );
  const { values, residuals, converged, iterations } = pairs;
  const told = { rank, reused, converged, values, damping, trueResiduals: relative, tolerance };
  return {
    solution: {
      ...{ solutions, status: worstStatus(columns), columns, advice: lowRankAdvice(told) },
      ...{ iterations: reused ? 0 : iterations, products: (reused ? 0 : iterations) + 1 },
      ...{ residualHistory: [Math.max(...relative)], trueResiduals: relative },
    },
    report: {
      damping,
      lowRank: {
        ...{ rank, reused, products },
        eigenvalues: Array.from(values, (value, i) => ({ value, residual: residuals[i]! })),
        ...(Number.isFinite(complement) && { complement }),
      },
    },
  };
};

/** What H is taken for beside the eigenvectors; without l2 and λ there is nothing to divide by, and that part is dropped. */
function complementOf(
  { complement }: MethodOf<'arnoldi'>,
  damping: number,
  values: Float64Array,
  { operator }: Context,
): number {
  const l2 = operator.shape.l2.reduce((least, value) => Math.min(least, value), Infinity);
  const smallest = Math.abs(values.at(-1)!);
  const taken = { midpoint: (l2 + smallest) / 2, l2, smallest, drop: Infinity }[complement];
  return taken + damping > 0 ? taken : Infinity;
}
