import type { Evaluation, Step } from './line-search.js';
import { truncatedConjugateGradient, type Direction, type StopRule } from './truncated-conjugate-gradient.js';
import type { Operator, SolverOptions, Status } from './types.js';
import { norm } from './vectors.js';

/** A function to minimise. */
export interface Objective {
  readonly size: number;
  /** f and ∇f at θ; moves the linearization there. θ is neither written to nor changed by the solver later. */
  at(theta: Float64Array): Promise<Evaluation>;
  /** The Hessian at the last point given to `at`. */
  operator(): Operator;
}

/** A point of the descent, with f and ∇f there. */
export interface Point extends Evaluation {
  theta: Float64Array;
  /** ‖∇f‖ */
  gradientNorm: number;
}

/** The step that was taken last: from a point by `length` times the direction. */
export interface Taken {
  from: Point;
  direction: Float64Array;
  length: number;
}

/** What one Newton method does its own way, in the order in which it is asked; `last` is undefined at the start. */
export interface NewtonRules {
  /** How to end here, if at all: by how steep it is here, or how little the last step brought. */
  stop(here: Point, last: Taken | undefined): Status | undefined;
  /** How well H·d = −∇f is solved. */
  forcing(here: Point, last: Taken | undefined): StopRule;
  /** What to search along, by how CG ended. Undefined where the curvature allows no step: the end, as `indefinite`. */
  direction(inner: Direction, here: Point): Float64Array | undefined;
  /** Undefined where no step gets any lower: the end, as `precision-limited`. */
  search(here: Point, direction: Float64Array, last: Taken | undefined): Promise<Step | undefined>;
}

export interface DescentOptions extends Pick<SolverOptions, 'signal'> {
  /** The most iterations. */
  iterations: number;
  /** Called at each new point and after each product, with what `Descent` has under these names so far. */
  onProgress?: ((gradientNorms: readonly number[], products: number) => void) | undefined;
}

/** How it went, and the point where it ended. */
export interface Descent extends Point {
  /** `diverged` only where f or ∇f is not finite. */
  status: Status;
  /** How CG ended for the last direction. */
  lastInner: Direction['end'] | undefined;
  /** ‖∇f‖ at the start and after each iteration. */
  gradientNorms: number[];
  iterations: number;
  /** Products with the Hessian for directions. */
  products: number;
}

/**
 * Truncated Newton, or Newton-CG: solve H·d = −∇f by CG as well as it pays, search along d, and again (Nocedal & Wright 2006,
 * algorithm 7.1). What may be done in more than one way is left to the rules.
 */
export async function newtonDescent(
  objective: Objective,
  start: Float64Array,
  rules: NewtonRules,
  { iterations, signal, onProgress }: DescentOptions,
): Promise<Descent> {
  const gradientNorms: number[] = [];
  let products = 0;
  const own = start.slice();
  let here = pointAt(own, await objective.at(own));
  let last: Taken | undefined;
  let lastInner: Descent['lastInner'];
  const end = (status: Status): Descent => ({
    ...{ ...here, status, lastInner, gradientNorms, iterations: gradientNorms.length - 1, products },
  });
  for (;;) {
    gradientNorms.push(here.gradientNorm);
    if (!(Number.isFinite(here.value) && Number.isFinite(here.gradientNorm))) return end('diverged');
    onProgress?.(gradientNorms, products);
    const stopped = rules.stop(here, last);
    if (stopped) return end(stopped);
    if (gradientNorms.length > iterations) return end('iteration-limit');

    const inner = await truncatedConjugateGradient(objective.operator(), here.gradient, {
      ...rules.forcing(here, last),
      signal,
      onProduct: (some) => onProgress?.(gradientNorms, products + some),
    });
    products += inner.products;
    lastInner = inner.end;
    const direction = rules.direction(inner, here);
    if (!direction) return end('indefinite');
    const step = await rules.search(here, direction, last);
    if (!step) return end('precision-limited');
    last = { from: here, direction, length: step.length };
    here = pointAt(step.theta, step.evaluation);
  }
}

const pointAt = (theta: Float64Array, evaluation: Evaluation): Point => ({
  ...evaluation,
  theta,
  gradientNorm: norm(evaluation.gradient),
});
