import { factoredParameters, kroneckerBlocks, kroneckerWidth } from '../../../protocol/kronecker.js';
import {
  arnoldiSchema,
  cgSchema,
  directSchema,
  type Method,
  type MethodOf,
} from '../../../protocol/methods.js';
import { isPlugin, networkOf } from '../../../protocol/model.js';
import { limits } from '../../../protocol/names.js';
import { symmetricEigen } from '../../dense/symmetric-eigen.js';
import { automatic, type AutomaticOptions } from '../../solvers/automatic.js';
import { row } from '../../solvers/vectors.js';
import type { Context } from '../context.js';
import { keptEigenpairs, namesOfEigenpairs } from '../eigenpairs.js';
import { basisValues, factorValues, preconditioner } from '../preconditioner.js';
import { normalVectors } from '../random-vectors.js';
import { solverOptions } from '../solver-options.js';
import { solveByArnoldi } from './arnoldi.js';
import { solveByDirect } from './direct.js';
import type { Problem, SolveBy, Solved } from './method.js';

/** Keeps the random vectors of a low-rank approximation apart from those of other estimates. */
const stream = 7;
/** CG iterations on each route. */
const iterations = 1000;
/** Seconds that this coordinator takes, measured: p³ of them for a Cholesky factor with condition estimate, n³ for eigenvectors, and an operation. */
const [perCube, perEigenCube, perOperation] = [4e-11, 1e-8, 1e-10];
/** Seconds until the thread of a factorisation is there. */
const start = 0.5;
/** Part of the parameters that Kronecker factors have to cover. */
const covered = 0.9;

/** By what should multiply the fewest vectors: see `automatic`; by a low-rank answer where the budget has no room for CG. */
export const solveByAuto: SolveBy<'auto'> = async (method, problem, context) => {
  const { operator, stage } = context;
  const { block, count, damping } = problem;
  const { tolerance, seed, again, maxProducts = Infinity } = method;
  const rank = Math.min(512, Math.floor((maxProducts - count) / 3));
  if (maxProducts < 4 * count && rank >= 1 && !again) {
    const lowRank = arnoldiSchema.parse({ name: 'arnoldi', rank, maxIterations: 2 * rank, tolerance, seed });
    const why = `arnoldi: ${maxProducts} products are fewer than three iterations of cg for ${count} right-hand sides`;
    return told(lowRank, why, await solveByArnoldi(lowRank, problem, context));
  }

  const kept = again ? again.kept : await bestKept(context);
  let dense: Solved | undefined;
  const solution = await automatic(operator, block, {
    ...solverOptions(context, tolerance),
    ...{ damping, tolerance, iterations, maxProducts, eigensolver: symmetricEigen },
    floor: operator.shape.l2.reduce((least, value) => Math.min(least, value), Infinity),
    random: normalVectors(operator.size, seed, stream),
    mostRank: Math.max(1, Math.floor(basisValues / operator.size)),
    kfac: kroneckerFactors(problem, context, seed),
    kept: kept && (await lowRankOf(kept, context)),
    steps: again?.steps,
    onRoute: ({ route, why }) => stage(`${route} (${why})`),
    direct:
      operator.size <= limits.denseParameters
        ? {
            seconds: start + perCube * operator.size ** 3,
            solve: async () => {
              dense = await solveByDirect(
                directSchema.parse({ name: 'direct', tolerance }),
                problem,
                context,
              );
              return dense.solution;
            },
          }
        : undefined,
  });
  const { steps, why } = solution;
  const last = steps.at(-1)!;
  const taken =
    last.route === 'direct'
      ? directSchema.parse({ name: 'direct', tolerance })
      : cgSchema.parse({
          ...{ name: 'cg', tolerance, seed },
          ...{ block: count > 1, maxIterations: iterations, onIndefinite: 'minres' },
          ...(last.route !== 'cg' && { preconditioner: last.route }),
          ...(last.rank && { maxRank: last.rank }),
        });
  const solved = { solution, report: { damping: solution.damping, ...dense?.report } };
  return told(taken, why.join('; then '), solved, { steps, ...(kept && { kept }) });
};

type Again = NonNullable<MethodOf<'auto'>['again']>;

function told(method: Method, why: string, { solution, report, ...rest }: Solved, again?: Again): Solved {
  const advice = `auto took ${why}. ${solution.advice}`;
  return {
    ...rest,
    solution: { ...solution, advice },
    report: { ...report, chosen: { method, why, ...(again && { again }) } },
  };
}

/** The most eigenpairs that are kept of this Hessian. */
async function bestKept(context: Context): Promise<Again['kept']> {
  const all = await namesOfEigenpairs(context);
  return all.sort((one, other) => other.rank - one.rank)[0];
}

/** Kept eigenpairs as a preconditioner takes them: all positive, or none. */
async function lowRankOf(
  { rank, maxIterations, seed }: NonNullable<Again['kept']>,
  context: Context,
): Promise<AutomaticOptions['kept']> {
  const { values, vectors } = await keptEigenpairs(rank, maxIterations, seed, context);
  if (!values.every((value) => value > 0)) return undefined;
  const rows = Array.from(values, (_, k) => row(vectors, k, context.operator.size));
  return { values, vectors: rows, products: 0 };
}

/** K-FAC where dense layers have nearly all parameters: the factors of convolutions often make CG slower. */
function kroneckerFactors({ damping }: Problem, context: Context, seed: number): AutomaticOptions['kfac'] {
  const network = networkOf(context.prepared.model);
  if (isPlugin(network)) return undefined;
  const blocks = kroneckerBlocks(network);
  const dense = factoredParameters(blocks.filter(({ positions }) => positions === 1));
  if (dense < covered * context.operator.size || kroneckerWidth(blocks) > factorValues) return undefined;
  return {
    seconds: {
      once: start + perEigenCube * blocks.reduce((sum, { rows, units }) => sum + rows ** 3 + units ** 3, 0),
      each:
        perOperation * blocks.reduce((sum, { rows, units }) => sum + 4 * rows * units * (rows + units), 0),
    },
    make: async () => {
      const asked = cgSchema.parse({ name: 'cg', preconditioner: 'kfac', seed });
      return (await preconditioner(asked, damping, context))!.at;
    },
  };
}
