import { backtrack } from './line-search.js';
import type { NewtonRules, Objective, Point, Taken } from './newton-descent.js';
import type { Direction, StopRule } from './truncated-conjugate-gradient.js';
import { dot, norm } from './vectors.js';

/** Steps without progress after which the gradient is taken to have reached its rounding. */
const patience = 3;
/** The most CG iterations for one step. */
const innerIterations = 250;
/** Relative rounding of f, a sum of float32 passes. */
export const valueNoise = 1e-6;

/**
 * Newton's method for `fit`: CG to the relative residual η = 0.9·(‖∇f‖/‖∇f before‖)², first 0.5 (Eisenstat & Walker 1996,
 * choice 2 with their safeguard, which makes the last steps superlinear without solving the first ones needlessly well),
 * then backtrack; the end where ‖∇f‖ ≤ gradientTolerance.
 *
 * The line search knows the rounding of f; a direction of negative curvature ends CG with the direction so far (steepest
 * descent if there is none yet); and where neither f nor ‖∇f‖ gets better than rounding for 3 steps, that is the end.
 */
export class FitRules implements NewtonRules {
  /** The point with the lowest f, or of those that rounding cannot tell apart the one with the least ‖∇f‖. */
  best: Point | undefined;
  #idle = 0;
  #forcing = 0.5;

  constructor(
    readonly objective: Objective,
    readonly gradientTolerance: number,
  ) {}

  stop(here: Point, last: Taken | undefined) {
    if (here.gradientNorm <= this.gradientTolerance) return 'converged';
    const before = this.best?.gradientNorm ?? Infinity;
    const isLower = !last || last.from.value - here.value > valueNoise * Math.abs(here.value);
    this.#idle = isLower || here.gradientNorm < 0.9 * before ? 0 : this.#idle + 1;
    if (isLower || here.gradientNorm < before) this.best = here;
    return this.#idle >= patience ? 'precision-limited' : undefined;
  }

  /** η: as ‖∇f‖ fell, but not dropping suddenly, and not beyond half of what is still to be gained. */
  forcing({ gradientNorm }: Point, last: Taken | undefined): StopRule {
    if (last) {
      const safeguard = 0.9 * this.#forcing ** 2;
      const fell = 0.9 * (gradientNorm / last.from.gradientNorm) ** 2;
      const toGo = 0.5 * (this.gradientTolerance / gradientNorm);
      this.#forcing = Math.min(0.9, Math.max(fell, safeguard > 0.1 ? safeguard : 0, toGo));
    }
    const target = this.#forcing * gradientNorm;
    return { enough: (residual) => norm(residual) <= target, iterations: innerIterations };
  }

  direction({ direction }: Direction, { gradient }: Point) {
    return dot(direction, gradient) < 0 ? direction : gradient.map((value) => -value);
  }

  search(here: Point, direction: Float64Array) {
    const evaluate = (theta: Float64Array) => this.objective.at(theta);
    return backtrack(evaluate, here.theta, here, direction, valueNoise);
  }
}
