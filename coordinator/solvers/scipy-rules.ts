import type { Step } from './line-search.js';
import { moreThuente, type Phi } from './more-thuente.js';
import type { NewtonRules, Point, Taken } from './newton-descent.js';
import type { Quadratic } from './quadratic.js';
import { absoluteSum, dot } from './vectors.js';
import { zoomSearch } from './zoom.js';

const wolfe = { c1: 1e-4, c2: 0.9 };

/**
 * Newton's method as SciPy's `fmin_ncg` goes about it (`scipy.optimize._optimize._minimize_newtoncg`, 1.15): CG until
 * ‖r‖₁ ≤ min(½, √‖∇f‖₁)·‖∇f‖₁, at most 20·p iterations; a strong Wolfe line search (c1 = 1e-4, c2 = 0.9); the end where
 * ‖Δx‖₁ ≤ p·avextol.
 *
 * What differs from it: negative curvature ends a run, since a quadratic that has it has no minimum. SciPy goes on downhill
 * to the limit of iterations.
 */
export function scipyRules(f: Quadratic, averageTolerance: number): NewtonRules {
  return {
    stop: (_, last) =>
      last && last.length * absoluteSum(last.direction) <= f.size * averageTolerance
        ? 'converged'
        : undefined,
    forcing({ gradient }) {
      const steepness = absoluteSum(gradient);
      const target = Math.min(0.5, Math.sqrt(steepness)) * steepness;
      return {
        enough: (residual) => absoluteSum(residual) <= target,
        iterations: 20 * f.size,
        flat: 3 * Number.EPSILON,
      };
    },
    direction: ({ direction, end }) => (end === 'negative' || end === 'iterations' ? undefined : direction),
    search: (here, direction, last) => wolfeSearch(f, here, direction, last),
  };
}

/** SciPy's `_line_search_wolfe12`: Moré & Thuente first, then zooming. */
async function wolfeSearch(
  f: Quadratic,
  { theta: from, value, gradient }: Point,
  direction: Float64Array,
  last: Taken | undefined,
): Promise<Step | undefined> {
  const at = (length: number) => from.map((xi, i) => xi + length * direction[i]!);
  const phi: Phi = {
    value: (length) => f.value(at(length)),
    slope: async (length) => dot(await f.gradient(at(length)), direction),
  };
  const start = { value, slope: dot(gradient, direction) };
  // As far as f fell by the last step, were φ a parabola.
  const guess =
    last && start.slope !== 0 ? Math.min(1, (1.01 * 2 * (value - last.from.value)) / start.slope) : 1;
  const first = guess < 0 ? 1 : guess;
  const found = (await moreThuente(phi, start, first, wolfe)) ?? (await zoomSearch(phi, start, first, wolfe));
  if (!found) return undefined;
  const theta = at(found.step);
  return { theta, evaluation: await f.at(theta), length: found.step };
}
