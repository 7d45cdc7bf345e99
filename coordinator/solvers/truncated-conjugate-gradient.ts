import type { Operator } from './types.js';
import { addScaled, dot } from './vectors.js';

/** When H·d = −∇f is solved well enough. */
export interface StopRule {
  /** Whether the residual r = H·d + ∇f is small enough, asked before each product. */
  enough: (residual: Float64Array) => boolean;
  iterations: number;
  /** A curvature pᵀHp from 0 to this is none: SciPy has 3 eps, whatever the size of p. Default 0. */
  flat?: number;
}

export interface TruncatedOptions extends StopRule {
  /** Called after each product with how many there were. */
  onProduct?: ((products: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface Direction {
  direction: Float64Array;
  products: number;
  /** `flat`, `negative`: a direction without curvature, or that curves downwards, ended it. */
  end: 'residual' | 'flat' | 'negative' | 'iterations';
}

/**
 * The direction of a Newton step: H·d = −∇f by conjugate gradients from d = 0, ended early (Steihaug 1983; Nocedal &
 * Wright 2006, algorithm 7.1), with the tests of SciPy's Newton-CG. Zero curvature ends it with the d so far. Negative
 * curvature does too, but in the first iteration, where d = −∇f·‖∇f‖²/|∇fᵀH∇f|: steepest descent as far as the curvature's
 * size says.
 */
export async function truncatedConjugateGradient(
  operator: Operator,
  gradient: Float64Array,
  { enough, iterations, flat = 0, onProduct, signal }: TruncatedOptions,
): Promise<Direction> {
  const direction = new Float64Array(gradient.length);
  const r = gradient.slice();
  const p = gradient.map((value) => -value);
  let rr = dot(r, r);
  let products = 0;
  const end = (how: Direction['end']): Direction => ({ direction, products, end: how });
  while (!enough(r)) {
    if (products >= iterations) return end('iterations');
    signal?.throwIfAborted();
    const product = await operator.multiply(p, 1);
    products += 1;
    onProduct?.(products);
    const curvature = dot(p, product);
    if (!(curvature > flat)) {
      if (curvature < 0 && products === 1) addScaled(direction, rr / curvature, gradient);
      return end(curvature < 0 ? 'negative' : 'flat');
    }
    const alpha = rr / curvature;
    addScaled(direction, alpha, p);
    addScaled(r, alpha, product);
    const next = dot(r, r);
    const beta = next / rr;
    rr = next;
    for (let i = 0; i < p.length; i += 1) p[i] = beta * p[i]! - r[i]!;
  }
  return end('residual');
}
