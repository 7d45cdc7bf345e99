import { withDamping } from './damped.js';
import type { Evaluation } from './line-search.js';
import { backtrack } from './line-search.js';
import { truncatedConjugateGradient } from './truncated-conjugate-gradient.js';
import type { Operator, SolverOptions, Status } from './types.js';
import { dot, norm, show } from './vectors.js';

/** A function to minimise. */
export interface Objective {
  readonly size: number;
  /** f and ∇f at θ; moves the linearization there. θ is neither written to nor changed by the solver later. */
  at(theta: Float64Array): Promise<Evaluation>;
  /** The Hessian at the last point given to `at`. */
  operator(): Operator;
}

export interface NewtonOptions extends SolverOptions {
  /** Stop at ‖∇f‖ ≤ gradientTolerance. */
  gradientTolerance: number;
  iterations: number;
  /** λ of the Newton system (H + λI) d = −∇f; it changes the path, not the minimum. Default 0. */
  damping?: number;
  /** The most CG iterations for one step. Default 250. */
  innerIterations?: number;
  /** Relative rounding of f: about 1e-6 for sums of float32 passes (the default). */
  valueNoise?: number;
}

export interface NewtonSolution {
  theta: Float64Array;
  value: number;
  gradientNorm: number;
  /** ‖∇f‖ at the start and after each iteration. */
  gradientNorms: number[];
  /** `diverged` only if f or ∇f is not finite at the start; `value` or `gradientNorm` is then not finite either. */
  status: Status;
  advice: string;
  iterations: number;
  /** Hessian products, each one pass over the data. */
  products: number;
  /** Calls of `at`, each one pass over the data. */
  evaluations: number;
}

/** Steps without progress after which the gradient is taken to have reached its rounding. */
const patience = 3;

/**
 * Truncated Newton with a line search, for `fit`: solve (H + λI) d = −∇f by CG to the relative residual
 * η = 0.9·(‖∇f‖/‖∇f before‖)², first 0.5 (Eisenstat & Walker 1996, choice 2 with their safeguard, which makes the last
 * steps superlinear without solving the first ones needlessly well), then backtrack along d. Reference: Nocedal &
 * Wright 2006, algorithm 7.1.
 *
 * What differs from it: the line search knows the rounding of f; a direction of negative curvature ends CG with the
 * direction so far (steepest descent if there is none yet); and when neither f nor ‖∇f‖ gets better than rounding for 3 steps the best
 * point is returned as `precision-limited`. An accepted full step costs one evaluation. On return the objective's
 * linearization is at the returned θ.
 */
export async function newton(
  objective: Objective,
  start: Float64Array,
  options: NewtonOptions,
): Promise<NewtonSolution> {
  const { gradientTolerance, signal, valueNoise = 1e-6, innerIterations = 250, damping = 0 } = options;
  let products = 0;
  let evaluations = 0;
  const evaluate = (theta: Float64Array) => {
    signal?.throwIfAborted();
    evaluations += 1;
    return objective.at(theta);
  };

  let theta: Float64Array = start.slice();
  let here = await evaluate(theta);
  let gradientNorm = norm(here.gradient);
  const gradientNorms: number[] = [];
  let best = { theta, here, gradientNorm };
  let idle = 0;
  let forcing = 0.5;

  const report = (inner: number) =>
    options.onProgress?.({
      measure: 'gradient',
      iteration: gradientNorms.length - 1,
      iterations: options.iterations,
      products: products + inner,
      residuals: [gradientNorm],
      worst: gradientNorm,
    });
  const end = (status: Status, advice: string): NewtonSolution => ({
    theta,
    value: here.value,
    gradientNorm,
    gradientNorms,
    status,
    advice,
    iterations: gradientNorms.length - 1,
    products,
    evaluations,
  });
  const finishAtBest = async (): Promise<NewtonSolution> => {
    ({ theta, here, gradientNorm } = best);
    await evaluate(theta); // only to move the linearization back
    return end(
      'precision-limited',
      `‖∇f‖ stopped at ${show(gradientNorm)} (tolerance ${show(gradientTolerance)}): no step lowers f or ‖∇f‖ beyond the ` +
        `rounding of f (about ${show(valueNoise * Math.abs(here.value))}). Accept this point, or raise the tolerance above it.`,
    );
  };

  gradientNorms.push(gradientNorm);
  if (!(Number.isFinite(here.value) && Number.isFinite(gradientNorm)))
    return end('diverged', 'f or ∇f is not finite at the start: begin from other parameters.');

  while (gradientNorm > gradientTolerance) {
    report(0);
    if (gradientNorms.length > options.iterations)
      return end(
        'iteration-limit',
        `‖∇f‖ is ${show(gradientNorm)} after ${options.iterations} iterations (tolerance ${show(gradientTolerance)}), from ` +
          `${show(gradientNorms[0]!)} at the start: allow more iterations, or go on from this point.`,
      );
    const enough = forcing * gradientNorm;
    const inner = await truncatedConjugateGradient(
      withDamping(objective.operator(), damping),
      here.gradient,
      {
        enough: (residual) => norm(residual) <= enough,
        iterations: innerIterations,
        signal,
        onProduct: report,
      },
    );
    products += inner.products;
    const direction =
      dot(inner.direction, here.gradient) < 0 ? inner.direction : here.gradient.map((value) => -value);

    const step = await backtrack(evaluate, theta, here, direction, valueNoise);
    if (!step) return finishAtBest();
    const decrease = here.value - step.evaluation.value;
    const previous = gradientNorm;
    theta = step.theta;
    here = step.evaluation;
    gradientNorm = norm(here.gradient);
    gradientNorms.push(gradientNorm);
    idle =
      decrease > valueNoise * Math.abs(here.value) || gradientNorm < 0.9 * best.gradientNorm ? 0 : idle + 1;
    if (gradientNorm < best.gradientNorm || decrease > valueNoise * Math.abs(here.value))
      best = { theta, here, gradientNorm };
    if (idle >= patience && gradientNorm > gradientTolerance) return finishAtBest();
    forcing = nextForcing(forcing, gradientNorm / previous, gradientTolerance / gradientNorm);
  }
  report(0);
  return end('converged', `‖∇f‖ is ${show(gradientNorm)} after ${gradientNorms.length - 1} iterations.`);
}

/** η of the next step: as ‖∇f‖ fell, but not dropping suddenly, and not beyond half of what is still to be gained. */
function nextForcing(forcing: number, ratio: number, toGo: number): number {
  const safeguard = 0.9 * forcing ** 2;
  const next = Math.max(0.9 * ratio ** 2, safeguard > 0.1 ? safeguard : 0, 0.5 * toGo);
  return Math.min(0.9, next);
}
