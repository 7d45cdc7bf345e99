import { estimateOf, type Estimate } from './estimate.js';
import type { Tridiagonal } from './lanczos-quadrature.js';
import { normalise, orthogonalise } from './orthogonalise.js';
import type { Operator, SolverOptions } from './types.js';
import { dot, norm, row } from './vectors.js';

/** tr H = E[zᵀHz] for probes of independent ±1 (Hutchinson 1990), from the first coefficient of their recursions. */
export function hutchinson(probes: readonly Tridiagonal[]): Estimate {
  return estimateOf(probes.map(({ alphas, square }) => square * alphas[0]!));
}

export interface TraceOptions extends SolverOptions {
  /** Probe number `index`, p independent ±1. */
  probe: (index: number) => Float64Array;
  /** Products in all: a third each for the sketch, for its range, and for the rest. At least 6. */
  probes: number;
}

/**
 * Hutch++ (Meyer, Musco, Musco & Woodruff 2021): with Q an orthonormal basis of H·S, S a third of the probes,
 * tr H = tr QᵀHQ + tr (I − QQᵀ)H(I − QQᵀ), the first part exactly and the second by Hutchinson's estimate from another
 * third. The error falls with 1/m where Hutchinson's falls with 1/√m if H is positive semidefinite. Two passes. The
 * standard error is that of the second part, given Q.
 */
export async function hutchPlusPlus(operator: Operator, options: TraceOptions): Promise<Estimate> {
  const { size } = operator;
  const { signal, probe } = options;
  const third = Math.max(2, Math.floor(options.probes / 3));
  const sketched = Math.min(third, size);

  signal?.throwIfAborted();
  const sketch = new Float64Array(sketched * size);
  for (let k = 0; k < sketched; k += 1) sketch.set(probe(k), k * size);
  const images = await operator.multiply(sketch, sketched);
  const range: Float64Array[] = [];
  for (let k = 0; k < sketched; k += 1) {
    const image = images.subarray(k * size, (k + 1) * size);
    const before = norm(image);
    orthogonalise(range, image);
    if (normalise(image, before) > 0) range.push(image);
  }

  signal?.throwIfAborted();
  const both = new Float64Array((range.length + third) * size);
  range.forEach((q, k) => both.set(q, k * size));
  for (let k = 0; k < third; k += 1) {
    const rest = probe(sketched + k);
    orthogonalise(range, rest);
    both.set(rest, (range.length + k) * size);
  }
  const products = await operator.multiply(both, range.length + third);
  const quadratic = (k: number) => dot(row(both, k, size), row(products, k, size));
  const exact = range.reduce((sum, _, k) => sum + quadratic(k), 0);
  const rest = estimateOf(Array.from({ length: third }, (_, k) => quadratic(range.length + k)));
  return { value: exact + rest.value, standardError: rest.standardError };
}
