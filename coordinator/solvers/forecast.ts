import type { Quadrature } from './lanczos-quadrature.js';
import { truncatedConjugateGradient } from './truncated-conjugate-gradient.js';
import type { Operator } from './types.js';
import { norm } from './vectors.js';

/** Iterations of CG for a digit of the residual, until something is known: seen were 3.3 to 13 (softmax regressions on digits). */
const perDigit = 5;
/** Iterations after which the residual's own fall is believed. */
export const enough = 4;

/**
 * Iterations that CG still needs to the tolerance, if the residual falls as it did so far or in the second half, whichever was
 * faster (a block's stands still at times); Infinity where it does not.
 * @param forecast of all iterations, for as long as there are too few to tell
 */
export function iterationsLeft(history: readonly number[], tolerance: number, forecast?: number): number {
  const digits = (residual: number) => Math.max(0, Math.log10(residual / tolerance));
  const last = Math.min(1, ...history.slice(-2));
  if (history.length < enough)
    return Math.ceil(
      Math.max(1, forecast === undefined ? perDigit * digits(last) : forecast - history.length),
    );
  const end = history.length - 1;
  const fallen = Math.max(
    ...[0, Math.floor(end / 2)].map((from) => Math.log10(Math.min(1, history[from]!) / last) / (end - from)),
  );
  return fallen > 0 ? Math.ceil(digits(last) / fallen) : Infinity;
}

/** Iterations of CG at a condition number: ‖r‖ is at most 2·((√κ−1)/(√κ+1))ᵏ, in the A-norm. */
export const iterationsAt = (condition: number, reduction: number) =>
  Math.ceil((Math.sqrt(Math.max(1, condition)) / 2) * Math.log(2 / reduction));

/**
 * Iterations that block CG takes to the tolerance for K right-hand sides, by the quadrature that Lanczos steps from one of them
 * give. As long as that one alone converges within the steps, it is CG for diag(nodes) + λI without its K − 1 largest
 * eigenvalues, as all directions together deal with those (O'Leary 1980); else half of what that one should take.
 */
export async function blockIterations(
  { nodes, weights }: Pick<Quadrature, 'nodes' | 'weights'>,
  count: number,
  damping: number,
  tolerance: number,
): Promise<number> {
  const size = nodes.length;
  const v = weights.map(Math.sqrt);
  const alone = await residuals(
    nodes.map((node) => node + damping),
    v,
    tolerance,
  );
  // The last step ends CG for the nodes, not for H.
  if (alone.length === size) {
    const seen = alone.slice(0, -1);
    return Math.ceil((seen.length + iterationsLeft(seen, tolerance)) / 2);
  }
  const largest = nodes[Math.max(Math.floor((size - 1) / 2), size - count)]!;
  const together = nodes.map((node) => Math.min(node, largest) + damping);
  return (await residuals(together, v, tolerance)).length;
}

/** CG's relative residuals for a diagonal matrix, down to a tolerance or until it has as many as the matrix rows. */
async function residuals(values: Float64Array, v: Float64Array, tolerance: number): Promise<number[]> {
  const history: number[] = [];
  const diagonal: Operator = {
    size: values.length,
    multiply: (p) => Promise.resolve(p.map((x, i) => x * values[i]!)),
  };
  await truncatedConjugateGradient(diagonal, v, {
    iterations: values.length,
    enough: (r) => history.push(norm(r) / norm(v)) > 1 && history.at(-1)! <= tolerance,
  });
  return history.slice(1);
}
