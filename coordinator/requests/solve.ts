import type { Report } from '../../protocol/jobs.js';
import type { SolveRequest } from '../../protocol/requests.js';
import { conjugateGradient } from '../solvers/conjugate-gradient.js';
import { lissa } from '../solvers/lissa.js';
import type { Solution } from '../solvers/types.js';
import { FarmChainRunner } from './chain-runner.js';
import type { Context, Outcome } from './context.js';
import { rightHandSides } from './right-hand-sides.js';
import { solverOptions } from './solver-options.js';

/** s = (H + λI)⁻¹ v for the request's right-hand sides, by the request's method. */
export async function solve(request: SolveRequest, context: Context): Promise<Outcome> {
  const { block, count } = await rightHandSides(context);
  context.stage(request.method.name);
  const { solution, report, warnings } = await solveBlock(request, block, context);
  return {
    status: solution.status,
    advice: solution.advice,
    vectors: { file: 'solution.arrow', values: solution.solutions, count },
    report: {
      columns: solution.columns.map((status, k) => {
        const trueResidual = solution.trueResiduals[k]!;
        // JSON has no number that is not finite.
        return { status, ...(Number.isFinite(trueResidual) && { trueResidual }) };
      }),
      iterations: solution.iterations,
      residualHistory: solution.residualHistory,
      ...report,
    },
    warnings,
  };
}

interface Solved {
  solution: Solution;
  report: Partial<Report>;
  warnings: string[];
}

async function solveBlock(
  { method, damping }: SolveRequest,
  block: Float64Array,
  context: Context,
): Promise<Solved> {
  const { operator, prepared } = context;
  if (method.name === 'cg') {
    const { tolerance, maxIterations } = method;
    const solution = await conjugateGradient(operator, block, {
      ...solverOptions(context, tolerance),
      damping,
      tolerance,
      iterations: maxIterations,
    });
    return { solution, report: { damping }, warnings: [] };
  }
  const smallestShard = prepared.manifest.shards.reduce((least, { rows }) => Math.min(least, rows), Infinity);
  const solution = await lissa(operator, new FarmChainRunner(context, block), block, {
    ...solverOptions(context),
    ...method,
    damping,
  });
  const { standardErrors, effectiveDamping } = solution;
  return {
    solution,
    report: { damping: effectiveDamping, ...(standardErrors && { standardErrors }) },
    warnings:
      method.batchSize > smallestShard
        ? [
            `a minibatch lies within one shard: batch size ${method.batchSize} was cut to the shards' ${smallestShard} rows`,
          ]
        : [],
  };
}
