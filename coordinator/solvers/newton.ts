import { FitRules, valueNoise } from './fit-rules.js';
import { newtonDescent, type Descent, type Objective } from './newton-descent.js';
import type { SolverOptions, Status } from './types.js';
import { show } from './vectors.js';

export interface NewtonOptions extends SolverOptions {
  /** Stop at ‖∇f‖ ≤ gradientTolerance. */
  gradientTolerance: number;
  iterations: number;
}

/** The point is the last one, or with `precision-limited` the best; `diverged` only if f or ∇f is not finite at the start. */
export interface NewtonSolution extends Descent {
  advice: string;
  /** Calls of `at`, each one pass over the data. */
  evaluations: number;
}

/**
 * Newton's method by `FitRules`. Where the rounding of f or ∇f ends it, the best point is the answer. An accepted full
 * step costs one evaluation. On return the objective's linearization is at the returned θ.
 */
export async function newton(
  objective: Objective,
  start: Float64Array,
  options: NewtonOptions,
): Promise<NewtonSolution> {
  const { gradientTolerance, iterations, signal } = options;
  let evaluations = 0;
  const counted: Objective = {
    size: objective.size,
    at: (theta) => {
      signal?.throwIfAborted();
      evaluations += 1;
      return objective.at(theta);
    },
    operator: () => objective.operator(),
  };
  const report = (gradientNorms: readonly number[], products: number) => {
    const gradientNorm = gradientNorms.at(-1)!;
    options.onProgress?.({
      measure: 'gradient',
      iteration: gradientNorms.length - 1,
      iterations,
      products,
      residuals: [gradientNorm],
      worst: gradientNorm,
    });
  };
  const rules = new FitRules(counted, gradientTolerance);
  const run = await newtonDescent(counted, start, rules, { iterations, signal, onProgress: report });
  const answer = run.status === 'precision-limited' ? { ...run, ...rules.best! } : run;
  if (answer !== run) await counted.at(answer.theta); // only to move the linearization back
  const { value, gradientNorm } = answer;

  const says: Partial<Record<Status, string>> = {
    converged: `‖∇f‖ is ${show(gradientNorm)} after ${run.iterations} iterations.`,
    'iteration-limit':
      `‖∇f‖ is ${show(gradientNorm)} after ${iterations} iterations (tolerance ${show(gradientTolerance)}), from ` +
      `${show(run.gradientNorms[0]!)} at the start: allow more iterations, or go on from this point.`,
    'precision-limited':
      `‖∇f‖ stopped at ${show(gradientNorm)} (tolerance ${show(gradientTolerance)}): no step lowers f or ‖∇f‖ beyond the ` +
      `rounding of f (about ${show(valueNoise * Math.abs(value))}). Accept this point, or raise the tolerance above it.`,
    diverged: 'f or ∇f is not finite at the start: begin from other parameters.',
  };
  return { ...answer, advice: says[run.status]!, evaluations };
}
