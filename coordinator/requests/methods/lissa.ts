import { lissa } from '../../solvers/lissa.js';
import { FarmChainRunner } from '../chain-runner.js';
import { solverOptions } from '../solver-options.js';
import type { SolveBy } from './method.js';

export const solveByLissa: SolveBy<'lissa'> = async (method, { block, damping }, context) => {
  const { operator, prepared } = context;
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
};
