import { networkOf } from '../../protocol/model.js';
import type { FitRequest } from '../../protocol/requests.js';
import { newton } from '../solvers/newton.js';
import type { Context, Outcome } from './context.js';
import { solverOptions } from './solver-options.js';

/** Trains the model from its stored parameters and stores the result under the name `into`. */
export async function fit(request: FitRequest, context: Context): Promise<Outcome> {
  const { operator, prepared, parameters, stores } = context;
  context.stage('fit');
  const solution = await newton(
    { size: operator.size, at: (theta) => operator.moveTo(theta), operator: () => operator },
    Float64Array.from(parameters),
    {
      gradientTolerance: request.gradientTolerance,
      iterations: request.maxIterations,
      ...solverOptions(context, request.gradientTolerance),
    },
  );
  await stores.models.put(
    { ...networkOf(prepared.model), name: request.into },
    Float32Array.from(solution.theta),
    true,
  );
  return {
    status: solution.status,
    advice: solution.advice,
    vectors: { file: 'parameters.arrow', values: solution.theta, count: 1 },
    report: {
      loss: solution.value,
      gradientNorm: solution.gradientNorm,
      iterations: solution.iterations,
      residualHistory: solution.gradientNorms,
    },
  };
}
