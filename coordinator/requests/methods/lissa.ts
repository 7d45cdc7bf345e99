import type { LissaReport } from '../../../protocol/lissa.js';
import type { MethodOf } from '../../../protocol/methods.js';
import { lissa } from '../../solvers/lissa.js';
import { lissaBatchSize, lissaDepth, lissaScale } from '../../solvers/lissa-plan.js';
import { FarmChainRunner } from '../chain-runner.js';
import type { Context } from '../context.js';
import { curvatureOf, minibatchCurvature, type Known } from '../curvature.js';
import { GlobalChainRunner } from '../global-chain-runner.js';
import { solverOptions } from '../solver-options.js';
import type { SolveBy } from './method.js';

export const solveByLissa: SolveBy<'lissa'> = async (method, { block, damping }, context) => {
  const { manifest } = context.prepared;
  const isGlobal = method.sampling === 'global';
  const mostRows = isGlobal
    ? manifest.rows
    : manifest.shards.reduce((least, { rows }) => Math.min(least, rows), Infinity);
  const { curvature: learnt, ...plan } = await planned(method, damping, mostRows, context);
  context.stage('lissa');
  const target = method.depth === 'auto' ? method.tolerance : undefined;
  const average = method.average ?? method.depth === 'auto';
  const runner = isGlobal
    ? new GlobalChainRunner(context, block)
    : new FarmChainRunner(context, block, method.sampling as 'epoch' | 'replacement');
  const solution = await lissa(context.operator, runner, block, {
    ...solverOptions(context, target),
    ...method,
    ...plan,
    ...{ damping, average, tolerance: target },
  });
  const { standardErrors, residualErrors, effectiveDamping, scale, depth, restarts, steps, estimates } =
    solution;
  const curvature = learnt();
  const utilisation = 'utilisation' in runner ? runner.utilisation() : undefined;
  const told: LissaReport = {
    ...{ scale, batchSize: plan.batchSize, depth, sampling: method.sampling, average },
    ...{ steps, restarts, estimates },
    ...(residualErrors && { residualErrors }),
    ...(curvature && { curvature }),
    ...(utilisation && { utilisation }),
  };
  return {
    solution,
    report: { damping: effectiveDamping, ...(standardErrors && { standardErrors }), lissa: told },
    warnings: [
      ...(method.batchSize !== 'auto' && method.batchSize > mostRows
        ? [
            `a minibatch lies within one ${isGlobal ? 'dataset' : 'shard'}: batch size ${method.batchSize} was cut to ${mostRows} rows`,
          ]
        : []),
      ...(method.convention === 'authors' && restarts.length > 0
        ? [`λ = damping·scale went up with the scale, to ${effectiveDamping}: the answer is for that λ`]
        : []),
    ],
  };
};

/** The numbers that were left to be chosen, and the curvature that they were chosen by. */
async function planned(method: MethodOf<'lissa'>, damping: number, mostRows: number, context: Context) {
  const { operator, prepared } = context;
  const l2 = operator.shape.l2.reduce((least, value) => Math.min(least, value), Infinity);
  let curvature: LissaReport['curvature'];
  /** Estimates once what is not known yet, and says so in the report. */
  async function learn<T>(estimate: Promise<Known<T>>, add: (value: T) => object): Promise<T> {
    const before = operator.products;
    const { value, reused } = await estimate;
    const { reused: all = true, products = 0, ...rest } = curvature ?? {};
    const cost = products + operator.products - before;
    curvature = { ...rest, ...add(value), reused: all && reused, products: cost } as typeof curvature;
    return value;
  }
  const whole = () => learn(curvatureOf(context), (value) => value);

  let batchSize = Math.min(method.batchSize === 'auto' ? Infinity : method.batchSize, mostRows);
  if (method.batchSize === 'auto') {
    const { largest, trace } = await whole();
    batchSize = lissaBatchSize(largest, trace, l2, operator.size, mostRows);
  }
  const saferScale = async () => {
    const { largest } = await whole();
    const some = await learn(minibatchCurvature(context, batchSize), (minibatches) => ({ minibatches }));
    return lissaScale(largest, some, damping);
  };
  const depthAt = (scale: number) => {
    const lambda = method.convention === 'authors' ? damping * scale : damping;
    return lissaDepth(l2 + lambda, scale, method.tolerance, prepared.manifest.rows / batchSize);
  };
  return {
    batchSize,
    scale: method.scale === 'auto' ? await saferScale() : method.scale,
    depth: method.depth === 'auto' ? depthAt : method.depth,
    saferScale,
    curvature: () => curvature,
  };
}
