import type { Column } from './columns.js';
import type { Status } from './types.js';
import { show } from './vectors.js';

/** A curvature this small beside the largest one is zero within the rounding of float32 products. */
const rounding = 1e-6;

/** What happened to the right-hand sides and what to do next: one sentence or two per kind of end but `indefinite`. */
export function conjugateGradientAdvice(
  columns: Column[],
  history: number[],
  options: { damping: number; tolerance: number },
): string {
  const { damping, tolerance } = options;
  const ended = (status: Status) => columns.filter((column) => column.status === status);
  const count = (some: Column[]) => `${some.length} of ${columns.length} right-hand sides`;
  const residual = (some: Column[]) => show(Math.max(...some.map((column) => column.trueResidual)));
  const says: string[] = [];

  const converged = ended('converged');
  if (converged.length > 0)
    says.push(
      `${count(converged)} converged after at most ${history.length} iterations: residual at most ${residual(converged)}.`,
    );

  const limited = ended('precision-limited');
  if (limited.length > 0)
    says.push(
      `${count(limited)} stopped where the products' precision ends: the recursion reached ${show(tolerance)}, but the ` +
        `residual computed anew is ${residual(limited)}, and that is what can be promised. To get below it, raise the ` +
        `damping (now ${show(damping)}): a smaller condition number allows a smaller residual.`,
    );

  const unfinished = ended('iteration-limit');
  if (unfinished.length > 0)
    says.push(
      `${count(unfinished)} reached the limit of ${history.length} iterations at a residual up to ${residual(unfinished)} ` +
        `(tolerance ${show(tolerance)}). ${moreIterations(history, tolerance)}`,
    );

  const leastSquares = ended('least-squares');
  if (leastSquares.length > 0)
    says.push(
      `${count(leastSquares)} not in the range of H + ${show(damping)}·I, which is singular within rounding: the residual cannot ` +
        `get below ${residual(leastSquares)}, and the answers are the shortest that reach it. Use some damping for a unique solution.`,
    );

  const stagnated = ended('stagnated');
  if (stagnated.length > 0)
    says.push(
      `${count(stagnated)} got no nearer than a residual of ${residual(stagnated)} (1 is that of s = 0): H + λI is singular or nearly so; ` +
        `raise the damping (now ${show(damping)}).`,
    );

  const diverged = ended('diverged');
  if (diverged.length > 0)
    says.push(
      `${count(diverged)} met numbers that are not finite, in the right-hand side or in a product. Check the right-hand ` +
        `sides, the model's parameters and the data for NaN, ±Inf and values near the float32 limit.`,
    );
  return says.join(' ');
}

/** The same of those that ended as `indefinite`, by the curvature that they met alone. Empty where none did. */
export function indefiniteAdvice(columns: Column[], { damping }: { damping: number }): string {
  const indefinite = columns.filter((column) => column.status === 'indefinite');
  if (indefinite.length === 0) return '';
  const lowest = Math.min(...indefinite.map((column) => column.curvature));
  const largest = Math.max(...indefinite.map((column) => column.largestCurvature));
  const singular = Math.abs(lowest) <= rounding * largest;
  // pᵀ(H+λ'I)p > 0 needs λ' > λ − lowest; twice the missing curvature leaves room for directions not met.
  const enough = singular ? damping + 1e-3 * largest : damping + 2 * Math.abs(lowest);
  return (
    `${indefinite.length} of ${columns.length} right-hand sides met a direction of ${singular ? 'no' : 'negative'} curvature ` +
    `(pᵀ(H+λI)p/pᵀp = ${show(lowest)}): ` +
    `H + ${show(damping)}·I is ${singular ? 'singular within rounding' : 'not positive definite'}. ` +
    (enough > damping
      ? `Use a damping above ${show(damping - Math.min(lowest, 0))}, say ${show(enough)}, `
      : 'Use some damping, ') +
    `or the gauss-newton curvature, which is never negative.`
  );
}

/** How many more iterations, if the residual goes on falling as it did in the second half. */
function moreIterations(history: number[], tolerance: number): string {
  const last = history.at(-1) ?? 1;
  const middle = Math.floor((history.length - 1) / 2);
  const rate = (last / (history[middle] ?? 1)) ** (1 / (history.length - 1 - middle));
  if (!(rate < 1))
    return 'The residual has not been falling lately: raise the damping, or allow many more iterations.';
  const more = Math.ceil(Math.log(tolerance / last) / Math.log(rate));
  return `It fell by a factor of ${show(rate)} an iteration lately: allow about ${show(more)} more, or raise the damping.`;
}
