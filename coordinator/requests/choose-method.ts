import { cgSchema, directSchema, type MethodOf } from '../../protocol/methods.js';
import { limits } from '../../protocol/names.js';

export interface Choice {
  method: MethodOf<'cg'> | MethodOf<'direct'>;
  why: string;
}

/** CG iterations for a digit of the residual: seen were 4.6 (logistic regression, p = 41) and 7.6 (MNIST's softmax regression). */
const iterationsPerDigit = 5;

/**
 * The method for K right-hand sides of length p. A direct solve costs p products whatever H is like, CG about
 * 5·log₁₀(1/tolerance) for each right-hand side: the cheaper one is taken, direct only where its matrix fits. An indefinite H
 * is solved too, as direct does: CG goes over to MINRES.
 */
export function chooseMethod(size: number, count: number, tolerance: number): Choice {
  const byCg = Math.ceil(count * (iterationsPerDigit * Math.max(1, -Math.log10(tolerance)) + 1));
  const costs = `direct would take p = ${size} products, cg about ${byCg} for ${count} right-hand side(s)`;
  if (size <= limits.denseParameters && size <= byCg)
    return { method: directSchema.parse({ name: 'direct', tolerance }), why: costs };
  const why =
    size > limits.denseParameters
      ? `p = ${size} is more than a direct solve's ${limits.denseParameters}`
      : costs;
  return { method: cgSchema.parse({ name: 'cg', tolerance, onIndefinite: 'minres' }), why };
}
